"""The services of the speech models, each beside the cascades' that may take over from it."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from tests.conformance.agents import TOOLS
from tests.conformance.cascades import (
    REVOKED,
    Servers,
    SocketService,
    cascade_services,
    mind_of,
)
from tests.conformance.house import Service, Told
from tests.fakes.elevenlabs_agents import ElevenLabsAgentsFake
from tests.fakes.elevenlabs_agents_request import Setup
from tests.fakes.openai_realtime_voice_faults import Voicing
from tests.fakes.speech import words_in
from tests.fakes.ultravox import UltravoxFake
from tests.fakes.vllm import VLLMFake

_TOOL_SECONDS = 20.0


Recall = Callable[[str], Told | None]


def _beside(
    base: Servers,
    name: str,
    service: Service,
    environment: Mapping[str, str],
    recall: Recall,
    *keys: str,
) -> Servers:
    """Return the cascades' servers with one service more."""
    return replace(
        base,
        environment={**base.environment, **environment},
        keys=(*base.keys, *keys),
        services={**base.services, name: service},
        recall=recall,
    )


# Ultravox ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class UltravoxService:
    """Ultravox' calls."""

    fake: UltravoxFake
    key: str

    @property
    def open(self) -> int:
        """Count the calls that go on."""
        return sum(call.is_active for call in self.fake.sessions)

    async def lose(self, code: int | None) -> None:
        """End the sockets of all calls."""
        await self.fake.lose(code)

    def revoke(self) -> None:
        """Refuse everything with 401."""
        self.fake.key = REVOKED

    def restore(self) -> None:
        """Take the key again."""
        self.fake.key = self.key


def _told_at_ultravox(fake: UltravoxFake, line: str) -> Told | None:
    """Look for the call whose caller has said so last."""
    for call in reversed(fake.sessions):
        said = [it["text"] for it in call.messages if it["role"] == "MESSAGE_ROLE_USER"]
        if said and said[-1] == line:
            own = (it["text"] for it in call.messages if it["role"] == "MESSAGE_ROLE_AGENT")
            return Told(call.prompt, tuple(call.tools), tuple(own))
    return None


@asynccontextmanager
async def ultravox_services() -> AsyncIterator[Servers]:
    """Run Ultravox, and the cascades' services."""
    key = "uv-key-not-to-be-told"
    async with cascade_services() as base, UltravoxFake(key) as fake:
        fake.script = base.script
        where = {"ULTRAVOX_API_KEY": key, "ULTRAVOX_BASE_URL": fake.url}
        service = UltravoxService(fake, key)
        yield _beside(base, "ultravox", service, where, partial(_told_at_ultravox, fake), key)


# ElevenLabs Agents -------------------------------------------------------------------------------


def _told_at_elevenlabs(fake: ElevenLabsAgentsFake, line: str) -> Told | None:
    """Look for the conversation in whose audio the line comes last."""
    for session in reversed(fake.sessions):
        if session.beginning is None or not _ends_with(bytes(session.ears.audio), line):
            continue
        own = list(session.mouth.said)
        if session.mouth.cut and own:
            own[-1] = session.mouth.cut[-1]
        told = (session.beginning.prompt, *session.contexts.values())
        return Told("\n".join(told), tuple(fake.setup.tools), tuple(own))
    return None


def _ends_with(audio: bytes, line: str) -> bool:
    return words_in(audio)[-len(line.split()) :] == line.split()


@asynccontextmanager
async def elevenlabs_services() -> AsyncIterator[Servers]:
    """Run ElevenLabs' agents, and the cascades' services but for ElevenLabs' voice."""
    async with cascade_services() as base:
        key = base.environment["ELEVENLABS_API_KEY"]
        setup = Setup(agent_id="agent_conformance", tools=dict.fromkeys(TOOLS, _TOOL_SECONDS))
        async with ElevenLabsAgentsFake(key, setup, base.script) as fake:
            where = {"ELEVENLABS_BASE_URL": fake.url, "ELEVENLABS_AGENT_ID": setup.agent_id}
            service = SocketService(fake, key)
            yield _beside(base, "elevenlabs", service, where, partial(_told_at_elevenlabs, fake))


# OpenAI Realtime ---------------------------------------------------------------------------------


def _told_at_openai(voicing: Voicing, line: str) -> Told | None:
    """Look for the session whose caller has said so last."""
    for session in reversed(voicing.sessions):
        said = [item.text for item in session.items.all if item.role == "user"]
        if said and said[-1] == line:
            own = (item.text for item in session.items.all if item.role == "assistant")
            names = (tool["name"] for tool in session.settings.get("tools", ()))
            return Told(session.settings["instructions"], tuple(names), tuple(own))
    return None


@asynccontextmanager
async def realtime_services() -> AsyncIterator[Servers]:
    """Run the cascades' services: OpenAI, of which its realtime model is a part, is there."""
    async with cascade_services() as base:
        yield replace(base, recall=partial(_told_at_openai, base.openai.voice))


# The model that hears ----------------------------------------------------------------------------


@dataclass(slots=True)
class VLLMService:
    """A server of one's own: requests, which come and go."""

    fake: VLLMFake
    key: str

    @property
    def open(self) -> int:
        """Count answers under way."""
        return sum(bool(it.body) and not it.whole and not it.cut_off for it in self.fake.chats)

    async def lose(self, code: int | None) -> None:
        """Nothing is open between two answers."""

    def revoke(self) -> None:
        """Refuse everything with 401."""
        self.fake.key = REVOKED

    def restore(self) -> None:
        """Take the key again."""
        self.fake.key = self.key


@asynccontextmanager
async def vllm_services() -> AsyncIterator[Servers]:
    """Run a vLLM server and a spare one, since only a model that hears can take over from one that
    does, and the cascades' services."""
    key = "vllm-key-not-to-be-told"
    async with (
        cascade_services() as base,
        VLLMFake(key=key, tool_parser=True) as fake,
        VLLMFake(tool_parser=True) as spare,
    ):
        for mind in (fake, spare):
            mind_of(base.script, base.asked, mind)
        where = {"VLLM_BASE_URL": fake.url, "VLLM_API_KEY": key}
        it = _beside(base, "vllm", VLLMService(fake, key), where, lambda _: None, key)
        yield replace(it, spare=spare.url)
