"""A stage for whole conversations: a gateway, its providers' fakes, and callers who talk.

    async with cascade(tmp_path, {"desk.py": source}) as stage:
        stage.openai.replies = answers({"two of us": "For when?"})
        async with stage.caller() as caller:
            await caller.hears("Good evening.")
            await caller.asks("two of us", "For when?")

Everybody speaks in `tests.fakes.speech`: the caller's words are in the audio that Deepgram's fake
gets, the agent's in the audio that the phone plays, and both are read back from there. Nobody
tells a fake what it hears.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from phone import Call, PhoneSettings
from phone.events import MarkEchoed, MarkReceived
from shared.audio import bytes_of_ms
from tests.fakes.cartesia import CartesiaFake
from tests.fakes.deepgram import DeepgramFake
from tests.fakes.elevenlabs import ElevenLabsFake
from tests.fakes.openai import OpenAIFake
from tests.fakes.openai_chat import Reply
from tests.fakes.speech import heard_in, speech
from tests.harness import RunningGateway, eventually, running_gateway

CALLER_MS = 20.0
AGENT_MS = 15.0
"""How long caller and agent take for a letter: briskly, to be quick."""

KEYS = {
    "DEEPGRAM_API_KEY": "dg-key-not-to-be-told",
    "OPENAI_API_KEY": "sk-key-not-to-be-told",
    "CARTESIA_API_KEY": "sk_car_key-not-to-be-told",
    "ELEVENLABS_API_KEY": "sk_el_key-not-to-be-told",
}
FALLBACK = "+15551112222"
MANAGER = "+15553334444"

PARTS = """
import asyncio
from worker import *
from worker.providers import *

EARS = Deepgram(endpointing_ms=100)
MODEL = OpenAI()
VOICE = Cartesia(voice="v")
"""
"""What every agent's source begins with."""

DESK = (
    PARTS
    + """
class Desk(Agent):
    stt, llm, tts = EARS, MODEL, VOICE
    network_ms = 0
    instructions = "You are the desk."
    greeting = "Good evening."
"""
)
"""An agent that greets, and leaves the rest to its model."""


def answers(
    replies: Mapping[str, Reply], otherwise: Reply = "Pardon?"
) -> Callable[[list[dict[str, Any]]], Reply]:
    """Return a model that answers the last line it is given: a caller's, or a tool's.

    A key is the whole line, or how a tool's answer begins.
    """

    def answer(messages: list[dict[str, Any]]) -> Reply:
        line = last_line(messages)
        if line in replies or messages[-1]["role"] != "tool":
            return replies.get(line, otherwise)
        return next((replies[key] for key in replies if line.startswith(key)), otherwise)

    return answer


def last_line(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return the words of the last message, which is to be answered: not the agent's own."""
    assert messages[-1]["role"] in ("user", "tool"), messages[-1]
    return str(messages[-1].get("content") or "")


def noise(ms: float) -> bytes:
    """Return a loud sound without a word in it."""
    return (b"\x20\xa0" * bytes_of_ms(ms))[: bytes_of_ms(ms)]


class Called(Protocol):
    """What a caller has called."""

    gateway: RunningGateway


class Caller:
    """Somebody on the phone, who says words and understands those of the agent."""

    def __init__(self, stage: Called, call: Call) -> None:
        self.call, self._stage = call, stage
        self.words: list[str] = []
        """Words heard whole, since the call began."""
        self._read = self._seen = 0

    @property
    def sid(self) -> str:
        """The call's sid."""
        return self.call.sid

    async def says(self, text: str, ms_per_letter: float = CALLER_MS) -> None:
        """Say it; return when it was said."""
        await self.call.say(speech(text, ms_per_letter))

    def listen(self) -> list[str]:
        """Return all words heard whole so far."""
        audio = self.call.heard[self._read :]
        whole = [word for word in heard_in(audio) if word.whole]
        if whole:
            self.words += [word.text for word in whole]
            self._read += bytes_of_ms(whole[-1].end_ms)
        return self.words

    async def hears(self, text: str, seconds: float = 30.0) -> None:
        """Return when these words were heard, one after the other, after those heard before."""
        wanted = text.split()

        def at() -> int | None:
            words = self.listen()
            for start in range(self._seen, len(words) - len(wanted) + 1):
                if words[start : start + len(wanted)] == wanted:
                    return start + len(wanted)
            return None

        try:
            self._seen = await eventually(at, seconds)
        except TimeoutError:
            heard = " ".join(self.words[self._seen :])
            log = self._stage.gateway.log_text()[-6000:]
            raise AssertionError(f"not heard: {text!r}, but {heard!r}\n{log}") from None

    async def is_let_finish(self) -> None:
        """Return when the agent has been heard out, and knows it."""

        def is_heard_out() -> bool:
            marks = [type(event) for event in self.call.events]
            return marks.count(MarkEchoed) == marks.count(MarkReceived)

        await eventually(is_heard_out)
        await self.call.wait(60)

    async def asks(self, text: str, reply: str, seconds: float = 30.0) -> None:
        """Let the agent finish, say something, and hear the reply."""
        await self.is_let_finish()
        await self.says(text)
        await self.hears(reply, seconds)

    async def view(self) -> dict[str, Any]:
        """Return the call as the API shows it."""
        return await self._stage.gateway.call_view(self.sid)

    async def lines(self) -> list[tuple[str, str]]:
        """Return the transcript: who, what."""
        return [(line["role"], line["text"]) for line in (await self.view())["lines"]]

    async def wrote_down(self, lines: list[tuple[str, str]]) -> None:
        """Return when the transcript is just this."""

        async def is_written() -> bool:
            return await self.lines() == lines

        try:
            await eventually(is_written, every=0.05)
        except TimeoutError:
            raise AssertionError(f"written: {await self.lines()}, not {lines}") from None

    async def over(self) -> dict[str, Any]:
        """Return the call as it is shown once it is over and its process is gone."""

        async def gone() -> dict[str, Any] | None:
            view = await self.view()
            return view if view["ended"] and view["exit"] else None

        found: dict[str, Any] = await eventually(gone)
        return found


@dataclass
class Cascade:
    """What a test has before it."""

    gateway: RunningGateway
    deepgram: DeepgramFake
    openai: OpenAIFake
    cartesia: CartesiaFake
    elevenlabs: ElevenLabsFake
    settings: PhoneSettings = field(default_factory=lambda: PhoneSettings(verb_speed=20))

    @asynccontextmanager
    async def caller(self, to: str = "+15550001111") -> AsyncIterator[Caller]:
        """Place a call; it is connected when the block begins."""
        async with self.gateway.phone(self.settings).dial(to=to) as call:
            await call.connected(timeout=60)
            yield Caller(self, call)

    def history(self, number: int = -1) -> list[tuple[str, str]]:
        """Return what the model was told in a request, but for the instructions."""
        messages = self.openai.chats[number].body["messages"]
        return [
            (message["role"], message.get("content") or "")
            for message in messages
            if message["role"] != "system"
        ]

    def instructions(self, number: int = -1) -> str:
        """Return the instructions of a request."""
        first = self.openai.chats[number].body["messages"][0]
        return first["content"] if first["role"] == "system" else ""

    async def show(self, sid: str) -> str:
        """Return what ``callfarm show`` prints."""
        code, output = await self.gateway.command("show", sid)
        assert code == 0, output
        return output

    async def metrics(self) -> str:
        """Return the gateway's figures."""
        return (await self.gateway.api("GET", "/metrics")).text


@asynccontextmanager
async def cascade(
    folder: Path,
    agents: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    *,
    routes: str = 'default = "desk:Desk"\n',
) -> AsyncIterator[Cascade]:
    """Set the stage in ``folder``; ``environment`` adds to the gateway's."""
    async with (
        DeepgramFake(KEYS["DEEPGRAM_API_KEY"]) as deepgram,
        OpenAIFake(key=KEYS["OPENAI_API_KEY"]) as openai,
        CartesiaFake(KEYS["CARTESIA_API_KEY"], ms_per_letter=AGENT_MS) as cartesia,
        ElevenLabsFake(KEYS["ELEVENLABS_API_KEY"], ms_per_letter=AGENT_MS) as elevenlabs,
    ):
        openai.letter_ms = AGENT_MS
        variables = {
            **KEYS,
            "DEEPGRAM_BASE_URL": deepgram.url,
            "OPENAI_BASE_URL": openai.url,
            "CARTESIA_BASE_URL": cartesia.url,
            "ELEVENLABS_BASE_URL": elevenlabs.url,
            "NO_PROXY": "127.0.0.1",
            "FALLBACK_NUMBER": FALLBACK,
            "TRANSFER_NUMBERS": f"manager={MANAGER}",
        }
        sources = {"routes.toml": routes, **(agents or {"desk.py": DESK})}
        async with running_gateway(folder, sources, {**variables, **(environment or {})}) as it:
            yield Cascade(it, deepgram, openai, cartesia, elevenlabs)


async def together(*callers: Callable[[], Any]) -> list[Any]:
    """Run conversations side by side; the first failure ends them all."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(caller()) for caller in callers]
    return [task.result() for task in tasks]
