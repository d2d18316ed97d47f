"""The services of the cascades: Deepgram, OpenAI, Cartesia and ElevenLabs, all of them running.

One `Script` is the mind of OpenAI's fake. Voices say their words, so that they can be read back.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.house import Service, Told
from tests.e2e.cascade import AGENT_MS, KEYS, last_line
from tests.fakes.cartesia import CartesiaFake
from tests.fakes.deepgram import DeepgramFake
from tests.fakes.deepgram_speak import SpeakLimits
from tests.fakes.elevenlabs import ElevenLabsFake
from tests.fakes.elevenlabs_agents import ElevenLabsAgentsFake
from tests.fakes.openai import OpenAIFake
from tests.fakes.openai_chat import Reply
from tests.fakes.openai_realtime import Session
from tests.fakes.openai_realtime_voice import VoiceSession
from tests.fakes.voice_model import Script

REVOKED = "key-that-was-revoked"


@dataclass(slots=True)
class DeepgramService:
    """Deepgram's ears and voice."""

    fake: DeepgramFake
    key: str = KEYS["DEEPGRAM_API_KEY"]

    @property
    def open(self) -> int:
        """Count its sockets."""
        return sum(socket.close_code is None for socket in self.fake.sockets)

    async def lose(self, code: int | None) -> None:
        """End all sockets."""
        for socket in list(self.fake.sockets):
            if socket.close_code is not None:
                continue
            if code is None:
                socket.cut()
            else:
                await socket.connection.close(code, "as programmed")

    def revoke(self) -> None:
        """Refuse upgrades with 401."""
        self.fake.key = REVOKED

    def restore(self) -> None:
        """Take the key again."""
        self.fake.key = self.key


@dataclass(slots=True)
class OpenAIService:
    """OpenAI's ears, mind, voice, and model of speech. Answers come at once and are not lost."""

    fake: OpenAIFake
    key: str | None

    @property
    def open(self) -> int:
        """Count sessions of ears, and answers under way."""
        answers = [*self.fake.of("chat"), *self.fake.of("speech")]
        under_way = sum(bool(it.body) and not it.whole and not it.cut_off for it in answers)
        return under_way + len(self._sessions)

    @property
    def _sessions(self) -> list[Session | VoiceSession]:
        ears: list[Session | VoiceSession] = [it for it in self.fake.hearing.sessions if it.is_open]
        return [*ears, *(it for it in self.fake.voice.sessions if not it.is_over)]

    async def lose(self, code: int | None) -> None:
        """End the realtime sessions."""
        for session in self._sessions:
            if code is None:
                session.drop()
            else:
                await session.close(code)

    def revoke(self) -> None:
        """Refuse everything with 401."""
        self.fake.key = REVOKED

    def restore(self) -> None:
        """Take the key again."""
        self.fake.key = self.key


@dataclass(slots=True)
class SocketService:
    """A server of one kind of socket: Cartesia's and ElevenLabs' voices, ElevenLabs' agents."""

    fake: CartesiaFake | ElevenLabsFake | ElevenLabsAgentsFake
    key: str

    @property
    def open(self) -> int:
        """Count its sockets."""
        return len(self.fake.connections)

    async def lose(self, code: int | None) -> None:
        """End all sockets."""
        await self.fake.drop(code)

    def revoke(self) -> None:
        """Refuse upgrades with 401."""
        self.fake.key = REVOKED

    def restore(self) -> None:
        """Take the key again."""
        self.fake.key = self.key


@dataclass
class Servers:
    """All of them."""

    environment: Mapping[str, str]
    keys: Sequence[str]
    spare: str
    script: Script
    services: Mapping[str, Service]
    openai: OpenAIFake
    asked: dict[str, Told] = field(default_factory=dict)
    """What the minds of the cascades were told, by the line that they answered."""
    recall: Callable[[str], Told | None] = lambda _: None
    """Looks up what another model is being told."""

    def told(self, line: str) -> Told:
        """Look it up where the line was heard."""
        return self.recall(line) or self.asked[line]


def mind_of(script: Script, asked: dict[str, Told], mind: OpenAIFake) -> None:
    """Let the script answer for a mind, and keep what it was told."""

    def answer(messages: list[dict[str, Any]]) -> Reply:
        line = last_line(messages)
        if messages[-1]["role"] == "tool":
            script.returned.append((_tool_of(messages), line))
        else:
            script.heard.append(line)
            asked[line] = _told(messages, mind)
        return script.reply(line)

    mind.replies = answer


def _tool_of(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return the name of the tool whose answer comes last."""
    calls = (call for message in messages for call in message.get("tool_calls") or ())
    names = {call["id"]: call["function"]["name"] for call in calls}
    return str(names[messages[-1]["tool_call_id"]])


def _told(messages: Sequence[Mapping[str, Any]], mind: OpenAIFake) -> Told:
    body = next(it.body for it in reversed(mind.chats) if _are_of(messages, it.body))
    return Told(
        "\n".join(str(it["content"]) for it in messages if it["role"] == "system"),
        tuple(tool["function"]["name"] for tool in body.get("tools", ())),
        tuple(str(it.get("content") or "") for it in messages if it["role"] == "assistant"),
    )


def _are_of(messages: Sequence[Mapping[str, Any]], body: Mapping[str, Any]) -> bool:
    """Tell whether ``messages`` are those of a request; a mind that hears has read its audio."""
    sent = body.get("messages", ())
    return len(sent) == len(messages) and all(
        sent_one == read or isinstance(sent_one["content"], list)
        for sent_one, read in zip(sent, messages, strict=True)
    )


@asynccontextmanager
async def cascade_services() -> AsyncIterator[Servers]:
    """Run all services of the cascades, and the spare."""
    script, asked = Script(letter_ms=AGENT_MS), dict[str, Told]()
    async with (
        DeepgramFake(
            KEYS["DEEPGRAM_API_KEY"], speak=SpeakLimits(ms_per_letter=AGENT_MS)
        ) as deepgram,
        OpenAIFake(key=KEYS["OPENAI_API_KEY"]) as openai,
        OpenAIFake(key=None) as spare,
        CartesiaFake(KEYS["CARTESIA_API_KEY"], ms_per_letter=AGENT_MS) as cartesia,
        ElevenLabsFake(KEYS["ELEVENLABS_API_KEY"], ms_per_letter=AGENT_MS) as elevenlabs,
    ):
        for mind in (openai, spare):
            mind.letter_ms = 1.6 * AGENT_MS  # the other voices pause between words
            mind_of(script, asked, mind)
        openai.voice.script = script
        yield Servers(
            environment={
                **KEYS,
                "DEEPGRAM_BASE_URL": deepgram.url,
                "OPENAI_BASE_URL": openai.url,
                "CARTESIA_BASE_URL": cartesia.url,
                "ELEVENLABS_BASE_URL": elevenlabs.url,
            },
            keys=tuple(KEYS.values()),
            spare=spare.url,
            script=script,
            services={
                "deepgram": DeepgramService(deepgram),
                "openai": OpenAIService(openai, openai.key),
                "spare": OpenAIService(spare, None),
                "cartesia": SocketService(cartesia, cartesia.key),
                "elevenlabs": SocketService(elevenlabs, elevenlabs.key),
            },
            asked=asked,
            openai=openai,
        )
