"""What an agent can do in its call beyond the line: the session lends it to the agent.

Only the type; `worker.conversation` is what it is.
"""

from collections.abc import AsyncIterable, Sequence
from typing import TYPE_CHECKING, Protocol

from worker.history import History
from worker.stt import STT
from worker.tts import TTS

if TYPE_CHECKING:
    from worker.agent import Agent


class Conversation(Protocol):
    """What an agent can do in its call beyond the line; the session lends it to the agent."""

    @property
    def history(self) -> History:
        """What was said."""

    @property
    def stage(self) -> str | None:
        """The agent's stage."""

    async def say(self, text: str | AsyncIterable[str], interruptible: bool) -> str:
        """Speak; return what of it was heard."""

    async def answer(self, text: str) -> None:
        """Have the model answer the caller."""

    async def keys(self, timeout_s: float) -> str:
        """Return the keys that the caller presses next, empty when none come in time."""

    def enter(self, stage: str) -> None:
        """Move to another stage."""

    async def hand_over(self, agent: "type[Agent]") -> None:
        """Let another agent go on."""

    async def set_stt(self, stt: STT | Sequence[STT]) -> None:
        """Hear with other ears."""

    async def set_tts(self, tts: TTS | Sequence[TTS]) -> None:
        """Speak with another voice."""
