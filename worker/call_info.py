"""What is known of a call before its first word."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class CallInfo:
    """Who calls whom.

    ``from_`` and ``to`` are E.164 where the carrier knows them; ``parameters`` are the webhook's
    own fields, under the carrier's names, and ``release`` is the release that serves the call.

    A call that was placed has the ``variables`` of its order. ``agent`` and ``machine`` override
    which agent speaks and what it does about answering machines; empty: nothing.
    ``company`` is the number of the company whose call it is; ``variables`` are then also what it
    says (``system_prompt``, ``model``, ``voice``, ``first_speaker``), where the order does not,
    and ``chosen`` what of a hosted voice's is as it would have it.
    ``first_message_s`` is how long the operator's first message may take to come; 0: none comes.
    """

    call_sid: str
    account_sid: str = ""
    from_: str = ""
    to: str = ""
    direction: str = "inbound"
    release: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    agent: str = ""
    machine: str = ""
    first_message_s: float = 0.0
    company: int | None = None
    chosen: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Keep copies of the mappings that nobody can change."""
        for name in ("parameters", "variables", "chosen"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    @property
    def own_number(self) -> str:
        """The number of ours: it was called, or it calls."""
        return self.from_ if self.direction.startswith("outbound") else self.to
