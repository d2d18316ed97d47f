"""Which call it is, as its process is told before anything else."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.calls.answers import IncomingCall
from shared import messages


@dataclass(frozen=True, slots=True)
class CallCompany:
    """Whose call it is, and what of the company's its process needs to know.

    ``variables`` are what the company says where the order of a call says nothing.
    """

    id: int
    variables: Mapping[str, str] = field(default_factory=dict)
    voice: messages.VoiceAccount | None = None


def metadata(
    it: IncomingCall,
    release: str,
    tools_url: str,
    first_message_s: float = 0.0,
    company: CallCompany | None = None,
) -> messages.Metadata:
    """Return the second frame of a call's pipe."""
    placed = it.placed
    said = company.variables if company is not None else {}
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
        {**said, **(placed.variables if placed is not None else {})},
        first_message_s,
        company.id if company is not None else None,
        company.voice if company is not None else None,
    )
