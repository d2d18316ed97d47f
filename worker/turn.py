"""A turn as an agent's author sees it afterwards."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turn:
    """What the caller said, what was heard of the answer, and which tools were called for it.

    ``number`` counts from 1; ``reply_ms`` is the server's own share of the reply: from the
    caller's words being known to the agent's first audio on the line.
    """

    number: int
    caller: str
    agent: str
    interrupted: bool = False
    tools: tuple[str, ...] = ()
    reply_ms: float | None = None
