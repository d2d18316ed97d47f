"""A call on which the carrier plays and echoes by itself: for conversations rather than frames."""

import asyncio
from collections.abc import Generator
from typing import Any

import pytest

from shared import messages
from tests.virtual_time import settled
from tests.worker.playbook import SID, Ears, Playbook, Says, Voice, Wire
from worker.agent import Agent
from worker.call_info import CallInfo
from worker.llm import LLM
from worker.session import Session
from worker.voip import VoIP

ALL = 10.0
"""Seconds in which every answer of these tests is heard out, and silence is not minded yet."""


class EchoingWire(Wire):
    """The gateway's end: echoes a mark once the audio before it has been played."""

    call: VoIP
    play: "Live"

    def send(self, frame: bytes, droppable: bool = False) -> None:
        """Take a frame."""
        before = len(self.marks)
        super().send(frame, droppable)
        if len(self.marks) > before:
            loop = asyncio.get_running_loop()
            loop.call_later(self.call.speaking_ms / 1000, self._echo, self.marks[-1])

    def _echo(self, name: str) -> None:
        if name in self.marks:
            self.marks.remove(name)
            self.play.event(messages.MarkPlayed(name))


class Live(Playbook):
    """A playbook whose carrier needs no `Echoes`; requests to the gateway are granted."""

    def __init__(self, agent: type[Agent], info: CallInfo | None = None) -> None:
        loop = asyncio.get_running_loop()
        self.wire = wire = EchoingWire(loop.time)
        self.call = wire.call = VoIP(wire, info or CallInfo(SID), loop.time)
        wire.play = self
        self.agent = agent()
        self.session = Session(self.agent, self.call, loop.time)
        self.living = loop.create_task(self.session.run())
        self._quiet, self._read = (messages.Speaking, messages.TurnTimed), 0
        self._steps: list[tuple[str, Any]] = []

    def __rshift__(self, step: object) -> "Live":
        super().__rshift__(step)
        return self

    def __await__(self) -> Generator[Any, None, "Live"]:
        return self._played().__await__()

    async def _played(self) -> "Live":
        await self._play()
        return self

    async def asks(self, text: str, seconds: float = ALL) -> None:
        """The caller says something, and so long is waited."""
        await (self >> Says(text))
        await asyncio.sleep(seconds)
        await settled()

    def told(self, kind: type) -> list[Any]:
        """Return what of a kind went to the gateway."""
        return [item for item in self.wire.items if isinstance(item, kind)]

    def grant(self, refused: str = "") -> None:
        """Answer the latest request."""
        number = self.told(messages.HangUp) + self.told(messages.Transfer)
        request = number[-1].request
        if refused:
            self.event(messages.Failure(request, "refused", refused))
        else:
            self.event(messages.Reply(request))

    async def finished(self) -> None:
        """End the call and see that nothing of it is left. Raises what the session raises."""
        await self.ended()
        await settled()
        assert asyncio.all_tasks() == {asyncio.current_task()}


def clerk(llm: LLM | None = None, *mixed_in: type, **attributes: Any) -> type[Agent]:
    """Return an agent class with ears, a voice and this model; tools come from ``mixed_in``."""
    parts: dict[str, Any] = {"stt": Ears(), "tts": Voice(), "llm": llm, **attributes}
    return type("Clerk", (*mixed_in, Agent), parts)


def problem(error: BaseException) -> BaseException:
    """Return the innermost error."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def about(number: float) -> Any:
    """Return what equals a number that is nearly this one."""
    return pytest.approx(number)
