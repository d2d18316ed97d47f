"""What is known of a call before its first word."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class CallInfo:
    """Who calls whom.

    ``from_`` and ``to`` are E.164 where the carrier knows them; ``parameters`` are the webhook's
    own fields, under the carrier's names, and ``release`` is the release that serves the call.
    """

    call_sid: str
    account_sid: str = ""
    from_: str = ""
    to: str = ""
    direction: str = "inbound"
    release: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Keep a copy of the parameters that nobody can change."""
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))
