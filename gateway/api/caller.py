"""Who asks, and what that allows.

    read    see calls, transcripts, recordings, campaigns
    calls   place calls, act on them, run campaigns
    admin   everything, also releases, companies, tokens

``read`` and ``calls`` do not contain each other: a form that starts calls need not be able to read
everybody's transcripts.
"""

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a token is for."""

    READ = "read"
    CALLS = "calls"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sent a request. ``id`` is the token's, for rates and logs; it opens nothing.

    With a ``company`` it is that company's own and sees nothing of the others'.
    """

    id: str
    scopes: frozenset[Scope]
    company: int | None = None

    def may(self, scope: Scope) -> bool:
        """Tell whether it may do what needs ``scope``."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def of(self, company: int | None) -> bool:
        """Tell whether what belongs to ``company`` is its business."""
        return self.company is None or self.company == company


EVERYTHING = frozenset({Scope.ADMIN})

OPERATOR_CALLER = Caller("operator", EVERYTHING)
"""Who comes by the control socket."""

NOBODY = Caller("", frozenset())
"""Who asks for what needs no token."""
