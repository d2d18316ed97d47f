"""Language models by OpenAI's chat completions: OpenAI, and every server that speaks them.

    reply ──> request ──headers──> pieces … ──[DONE]──> calls, usage
                 │ 429, 5xx, no connection: once more, as long as nothing was given out
                 └ nothing within ``first_token_s``, or ``stall_s`` between pieces: lost

The request goes through the SDK's client (key, organisation, errors), but neither through its
typed parameters nor its typed chunks: for a conversation of 22 lines those cost 8 ms before the
request leaves, more with every line, and 0.1 ms a chunk, all on the caller's time.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from worker import openai_client
from worker.errors import ProviderError
from worker.llm import LLM, Answer, LLMSession, Prompt
from worker.llm.openai_chat import Chat
from worker.llm.openai_request import body

if TYPE_CHECKING:
    from openai import AsyncOpenAI


@dataclass(frozen=True, slots=True)
class OpenAI:
    """A model behind ``/chat/completions``. ``OPENAI_API_KEY`` and ``OPENAI_BASE_URL`` say whose.

    Raises ``ValueError`` for settings out of range.
    """

    model: str = "gpt-4.1-mini"

    temperature: float | None = None
    """0 to 2; ``None`` leaves it to the server."""

    max_tokens: int | None = 300
    """Longest answer, in tokens; ``None`` for no limit of ours."""

    base_url: str | None = None
    """Another server, with the version in its path; goes before ``OPENAI_BASE_URL``."""

    first_token_s: float = 6.0
    """Seconds from the request to its first word or call, retries and thinking included."""

    stall_s: float = 10.0
    """Seconds between two pieces of an answer."""

    include_usage: bool = True
    """Ask for what it cost. Off for servers that refuse ``stream_options``."""

    extra_body: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the request that are not here (``top_p``, ``seed``, ``reasoning_effort``)."""

    warm: bool = True
    """Connect before the first question, and learn at once of a key that is no good."""

    warm_s: float = 1.5
    """Seconds that may take."""

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError("model is empty: name one, such as gpt-4.1-mini")
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise ValueError("temperature is from 0 to 2")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ValueError("max_tokens is 1 at least, or None")
        if min(self.first_token_s, self.stall_s, self.warm_s) <= 0:
            raise ValueError("first_token_s, stall_s and warm_s are above 0")

    def prepare(self) -> None:
        """Import the SDK and build its client. Raises `ProviderRefusedError` without a key."""
        account = openai_client.account(self.base_url)
        openai_client.template_client(account.key, account.base_url)

    async def connect(self) -> LLMSession:
        """Open a session. Raises `ProviderRefusedError` when the key is no good."""
        client = openai_client.call_client(self.base_url)
        if self.warm:
            try:
                await openai_client.warm(client, self.warm_s)
            except BaseException:
                await openai_client.close(client)
                raise
        return _Line(self, client)

    def stand_in(self) -> LLM:
        """Return a model that says the same to everything."""
        from worker.stand_ins import CannedLLM

        return CannedLLM()

    def fields(self, base_url: str) -> dict[str, Any]:
        """Return the settings as fields of a request to the server at ``base_url``."""
        fields: dict[str, Any] = {"model": self.model}
        if self.temperature is not None:
            fields["temperature"] = self.temperature
        if self.max_tokens is not None:
            fields[_limit_field(base_url)] = self.max_tokens
        if self.include_usage:
            fields["stream_options"] = {"include_usage": True}
        return fields | dict(self.extra_body)


def _limit_field(base_url: str) -> str:
    """OpenAI has renamed the field and refuses the old one with newer models; others know it."""
    host = urlsplit(base_url).hostname or ""
    is_openai = host.endswith((".openai.com", ".openai.azure.com"))
    return "max_completion_tokens" if is_openai else "max_tokens"


class _Line:
    """One call's line to the model."""

    def __init__(self, settings: OpenAI, client: "AsyncOpenAI") -> None:
        self._settings = settings
        self._warmth = openai_client.Warmth(client, settings.warm_s)
        renew = self._warmth.renew if settings.warm else None
        self._chat = Chat(client, settings.stall_s, renew)
        self._fields = settings.fields(str(client.base_url))
        self._loop = asyncio.get_running_loop()

    async def reply(self, prompt: Prompt) -> AsyncGenerator[Answer, None]:
        """Stream the answer; once more from the start if it fails before anything was given."""
        request = body(prompt, self._fields)
        deadline = self._loop.time() + self._settings.first_token_s
        pause: float | None = None
        while True:
            given = False
            try:
                async with contextlib.aclosing(self._chat.ask(request, deadline)) as answers:
                    async for answer in answers:
                        given = True
                        yield answer
            except ProviderError as error:
                is_first = pause is None and not given
                pause = openai_client.pause_before_retry(error) if is_first else None
                if pause is None or self._loop.time() + pause >= deadline:
                    raise
            else:
                return
            await asyncio.sleep(pause)

    async def aclose(self) -> None:
        """Close all connections, that of an answer in progress too."""
        await self._warmth.aclose()
