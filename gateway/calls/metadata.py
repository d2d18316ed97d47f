"""Which call it is, as its process is told before anything else."""

from gateway.calls.answers import IncomingCall
from shared import messages


def metadata(
    it: IncomingCall, release: str, tools_url: str, first_message_s: float = 0.0
) -> messages.Metadata:
    """Return the second frame of a call's pipe."""
    placed = it.placed
    return messages.Metadata(
        it.sid,
        it.account_sid,
        it.from_,
        it.to,
        it.direction,
        release,
        it.parameters,
        tools_url,
        placed.agent if placed is not None else "",
        placed.machine if placed is not None else "",
        dict(placed.variables) if placed is not None else {},
        first_message_s,
    )
