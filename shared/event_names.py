"""Names of events, as operators and companies choose among them.

    call.ended        one of the gateway's own          booking    an agent's own: one word
    call.*            all of a kind                     *          all

It knows no more of them than their names.
"""

import re
from collections.abc import Iterable

GATEWAYS = (
    *("call.started", "call.ended", "call.transcript", "call.transferred"),
    *("campaign.started", "campaign.paused", "campaign.resumed"),
    *("campaign.cancelled", "campaign.stopped", "campaign.completed"),
)
"""The gateway's own events."""

_KINDS = tuple(dict.fromkeys(name.partition(".")[0] + ".*" for name in GATEWAYS))
_AGENTS_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,47}")


class EventNameError(ValueError):
    """No event is, or can be, called ``name``."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)

    def __str__(self) -> str:
        known = ", ".join((*GATEWAYS, *_KINDS))
        return (
            f"no event is called {self.name[:60]!r}; there are {known}, and agents' own, of one "
            "word; write several between commas"
        )


def event_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return names that events can have. Raises `EventNameError`.

    A kind alone (``call``) is none: who writes it means ``call.*``, or ``call.ended``.
    """
    found = tuple(names)
    kinds = {kind.partition(".")[0] for kind in _KINDS}
    for name in found:
        is_known = name in GATEWAYS or name in _KINDS or name == "*"
        if not is_known and (name in kinds or not _AGENTS_NAME.fullmatch(name)):
            raise EventNameError(name)
    return found
