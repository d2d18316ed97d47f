"""Ultravox's open model on a server of one's own: it hears the caller and answers in text.

    ears cut a turn ──> its sound, older turns as text ──> vLLM ──text──> any voice
                              │ nobody there, 502, 503, 504: it sleeps. Asked until it wakes,
                              └ for ``wake_s``; the caller is told meanwhile (`Agent.hold_on`)

    stt, llm, tts = LocalEndpointing(), UltravoxModel(), Cartesia(voice="...")

The wire is OpenAI's chat completions with ``input_audio`` parts, as vLLM serves them. Other models
that hear are served the same way.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from worker import openai_client
from worker.credentials import Credentials, credentials
from worker.errors import ProviderError, ProviderRefusedError
from worker.history import MOST_SOUNDS
from worker.llm import LLM, Answer, LLMSession, Prompt, Said
from worker.llm.openai_chat import Chat
from worker.llm.openai_request import body
from worker.llm.spoken_lines import content, with_sounds
from worker.llm.waking import Waking
from worker.openai_client import Service
from worker.sockets import status_fault
from worker.turns.policy import words_of

if TYPE_CHECKING:
    from openai import AsyncOpenAI

VLLM = Service("vllm", "VLLM_API_KEY")
ADDRESS = "VLLM_BASE_URL"
LONGEST_MS = 30_000
"""The model's audio processor has windows of 30 s; more than one is not sent."""

_MOST_TRIES = 3
_WARM_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class UltravoxModel:
    """A model that hears, behind ``/chat/completions``. ``VLLM_BASE_URL`` says where.

    ``VLLM_API_KEY`` is the server's ``--api-key``, if it has one. Raises ``ValueError`` for
    settings out of range.
    """

    hears_audio: ClassVar[bool] = True

    model: str = "fixie-ai/ultravox-v0_5-llama-3_1-8b"
    """As the server calls it (``--served-model-name``)."""

    base_url: str | None = None
    """Where it is, with the version in its path; goes before ``VLLM_BASE_URL``."""

    temperature: float | None = 0.3
    """0 to 2; ``None`` leaves it to the server."""

    max_tokens: int | None = 200
    """Longest answer, in tokens; ``None`` for no limit of ours."""

    audio_turns: int = 1
    """How many of the caller's turns are sent as sound; older ones as what was written down of
    them. More than one needs ``--limit-mm-per-prompt`` on many a server. 4 at most."""

    first_token_s: float = 8.0
    """Seconds from the request to its first word, of a server that is awake."""

    stall_s: float = 10.0
    """Seconds between two pieces of an answer."""

    wake_s: float = 90.0
    """Seconds that a server which sleeps may take to answer, the first word included."""

    connect_s: float = 1.0
    """How long, while the phone rings, is waited for a server that may be awake."""

    extra_body: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the request that are not here (``top_p``, ``repetition_penalty``)."""

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError("model is empty: name the one that the server serves")
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise ValueError("temperature is from 0 to 2")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ValueError("max_tokens is 1 at least, or None")
        if not 1 <= self.audio_turns <= MOST_SOUNDS:
            raise ValueError(f"audio_turns is from 1 to {MOST_SOUNDS}")
        if min(self.first_token_s, self.stall_s, self.wake_s, self.connect_s) <= 0:
            raise ValueError("first_token_s, stall_s, wake_s and connect_s are above 0")

    def prepare(self) -> None:
        """Import the SDK and build its client. Raises `ProviderRefusedError` without an address."""
        known = self._account()
        openai_client.template_client(known.key, known.base_url)

    async def connect(self) -> LLMSession:
        """Begin to wake the server. Raises `ProviderRefusedError` when it refuses the key."""
        client = openai_client.client_for(self._account())
        line = _Line(self, client)
        try:
            await line.waking.asked(self.connect_s)
        except BaseException:
            await line.aclose()
            raise
        return line

    def stand_in(self) -> LLM:
        """Return a model that says the same to everything."""
        from worker.stand_ins import CannedLLM

        return CannedLLM()

    def _account(self) -> Credentials:
        if self.base_url is not None:
            key = os.environ.get(VLLM.key, "").strip() or "none"
            return Credentials(key, self.base_url.rstrip("/"))
        if not os.environ.get(ADDRESS, "").strip():
            sentence = f"nobody knows where it is: set {ADDRESS}, such as http://gpu:8000/v1"
            raise ProviderRefusedError(VLLM.name, sentence)
        return credentials(VLLM.name, "", needs_key=False)

    def request(self, prompt: Prompt) -> dict[str, Any]:
        """Return the body of a request."""
        fields: dict[str, Any] = {"model": self.model, "stream_options": {"include_usage": True}}
        if self.temperature is not None:
            fields["temperature"] = self.temperature
        if self.max_tokens is not None:
            fields["max_tokens"] = self.max_tokens
        heard = Prompt(with_sounds(prompt.items, self.audio_turns, LONGEST_MS), prompt.tools)
        return body(heard, fields | dict(self.extra_body), content)


class _Line:
    """One call's line to the model."""

    def __init__(self, settings: UltravoxModel, client: "AsyncOpenAI") -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._warmth = openai_client.Warmth(client, _WARM_SECONDS)
        self._chat = Chat(client, settings.stall_s, self._warmth.renew, VLLM)
        self.waking = Waking(client, VLLM, settings.wake_s)
        self.waking.begin()

    async def reply(self, prompt: Prompt) -> AsyncGenerator[Answer, None]:
        """Stream the answer, once the server is awake.

        One that fails before its first word is asked again: it may have gone to sleep. Raises
        `ProviderError`.
        """
        request = self._settings.request(prompt)
        patience = self._loop.time() + self._settings.wake_s
        for left in reversed(range(_MOST_TRIES)):
            await self.waking.until_awake(patience)
            deadline = patience
            if not self.waking.just_woke:
                deadline = min(patience, self._loop.time() + self._settings.first_token_s)
            given = False
            try:
                async with contextlib.aclosing(self._chat.ask(request, deadline)) as answers:
                    async for answer in answers:
                        given = True
                        self.waking.answered()
                        yield answer
            except ProviderError as error:
                pause = openai_client.pause_before_retry(error)
                if given or pause is None or not left or self._loop.time() + pause >= deadline:
                    raise _explained(error, prompt) from error.__cause__
                if error.status != 429:
                    self.waking.slept()
            else:
                return
            await asyncio.sleep(pause)

    async def aclose(self) -> None:
        """Stop waking it, and close all connections, that of an answer in progress too."""
        await self.waking.aclose()
        await self._warmth.aclose()


def _explained(error: ProviderError, prompt: Prompt) -> ProviderError:
    """Let a refusal say what the server says is wrong, unless that quotes the conversation."""
    from openai import APIStatusError

    cause = error.__cause__
    if not isinstance(error, ProviderRefusedError) or not isinstance(cause, APIStatusError):
        return error
    said = cause.body.get("message") if isinstance(cause.body, dict) else None
    if not isinstance(said, str) or _quotes(said, prompt):
        return error
    return status_fault(VLLM.name, VLLM.key, cause.status_code, said)


def _quotes(said: str, prompt: Prompt) -> bool:
    """Tell whether a line of one word, or two words in a row, are from the conversation."""
    words = words_of(said)
    pairs = set(pairwise(words))
    for item in prompt.items:
        line = words_of(item.text)
        if isinstance(item, Said) and item.role == "system":
            continue
        if pairs.intersection(pairwise(line)) or (len(line) == 1 and line[0] in words):
            return True
    return False
