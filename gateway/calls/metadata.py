"""Which call it is, as its process is told before anything else."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.calls.answers import IncomingCall
from shared import messages

OTHER_VOICE = "company_voice"
"""The variable by which an order names another voice than the company's."""


@dataclass(frozen=True, slots=True)
class CallCompany:
    """Whose call it is, and what of the company's its process needs to know.

    ``variables`` are what the company says where the order of a call says nothing; ``chosen`` is
    what it would have of the hosted voice that its account is for.
    """

    id: int | None
    variables: Mapping[str, str] = field(default_factory=dict)
    voice: messages.VoiceAccount | None = None
    chosen: Mapping[str, str] = field(default_factory=dict)


_NOBODY = CallCompany(None)


def metadata(
    it: IncomingCall,
    release: str,
    tools_url: str,
    first_message_s: float = 0.0,
    company: CallCompany | None = None,
) -> messages.Metadata:
    """Return the second frame of a call's pipe."""
    placed = it.placed
    ordered = placed.variables if placed is not None else {}
    company = company or _NOBODY
    other = {"voice": ordered[OTHER_VOICE]} if ordered.get(OTHER_VOICE) else {}
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
        {**company.variables, **ordered},
        first_message_s,
        company.id,
        company.voice,
        {**company.chosen, **other} if company.id is not None else {},
    )
