"""An Ultravox call that the carrier is joined to: made, told and asked about by REST alone.

    create ──callId, joinUrl──> the carrier joins ──> send (say, tell, hang up) ──> spoken

Who talks on the line, and when, is not heard here. Source: Ultravox' OpenAPI document,
``calls_create``, ``calls_send_data_message_create`` and ``calls_messages_list``.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

import msgspec

from worker.backoff import Backoff, Retry
from worker.credentials import credentials
from worker.errors import ProviderError, ProviderLostError
from worker.llm import Call, Item, Returned, Said, ToolSpec
from worker.rest import Rest
from worker.speech import Brief, Opening
from worker.speech.ultravox import URL, Ultravox, client
from worker.speech.ultravox_call import call_body, path_of, stage_of
from worker.speech.ultravox_tools import Implementation, selected_tools
from worker.speech.ultravox_wire import PROVIDER

STREAM_NAME: Final = "ultravox"
"""What the carrier calls its stream to Ultravox."""

CREATE_SECONDS = 6.5
"""What the making of a call may take, its second try included: the carrier waits for an answer."""

HASTY_SECONDS = 3.0
"""The same while somebody else is left to take the call."""

_TRIES = Retry(tries=1, most_wait_s=2.0)
_PAGE, _MOST_PAGES = 200, 20


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the conversation, ``at_ms`` after its beginning where that is known."""

    item: Item
    at_ms: float


class _Created(msgspec.Struct, rename="camel"):
    call_id: str
    join_url: str


class _Span(msgspec.Struct):
    start: str = ""


class _Message(msgspec.Struct, rename="camel"):
    role: str = ""
    text: str | None = None
    tool_name: str | None = None
    invocation_id: str | None = None
    timespan: _Span | None = None


class _Page(msgspec.Struct):
    results: list[_Message]
    next: str | None = None


def line(settings: Ultravox, tools_url: str) -> "UltravoxDirect":
    """Return what a call is made by. Raises `ProviderRefusedError` without a key."""
    return UltravoxDirect(settings, client(credentials(PROVIDER, URL)), tools_url)


def by_http(tools_url: str) -> Implementation:
    """Return who runs the tools of such a call: the gateway, at ``tools_url``."""

    def implementation(spec: ToolSpec) -> Mapping[str, Any]:
        url = f"{tools_url}/{quote(spec.name, safe='')}"
        return {"http": {"baseUrlPattern": url, "httpMethod": "POST"}}

    return implementation


class UltravoxDirect:
    """One such call. ``rest`` is this call's own and is closed with it."""

    def __init__(self, settings: Ultravox, rest: Rest, tools_url: str) -> None:
        self._settings, self._rest = settings, rest
        self._implementation = by_http(tools_url)
        self.call_id = ""

    async def create(self, opening: Opening, seconds: float = CREATE_SECONDS) -> str:
        """Make the call; return the URL that it is joined by, once. Raises `ProviderError`."""
        body = call_body(self._settings, opening, {"twilio": {}}, self._implementation)
        try:
            async with asyncio.timeout(seconds):
                answer = await self._created(body)
        except TimeoutError:
            sentence = f"has made no call within {seconds:g} s"
            raise ProviderLostError(PROVIDER, sentence) from None
        if not answer.join_url.startswith(("wss://", "ws://")):
            raise ProviderLostError(PROVIDER, "has made a call that nobody can join: no joinUrl")
        self.call_id = answer.call_id
        return answer.join_url

    async def _created(self, body: dict[str, Any]) -> _Created:
        backoff = Backoff(_TRIES)
        while True:
            try:
                answer = await self._rest.post(path_of(self._settings), body)
                return msgspec.convert(answer, _Created)
            except msgspec.ValidationError:
                sentence = "has made a call that nobody can join: no joinUrl"
                raise ProviderLostError(PROVIDER, sentence) from None
            except ProviderError as error:
                delay = backoff.failed(error, 0.0)
                if delay is None:
                    raise
                await asyncio.sleep(delay)

    def stage(self, brief: Brief, text: str) -> str:
        """Return the JSON of the stage that begins with a tool's answer, ``text``."""
        tools = selected_tools(self._settings, brief, self._implementation)
        stage = stage_of(self._settings, brief) | {"selectedTools": tools, "toolResultText": text}
        return msgspec.json.encode(stage).decode()

    # While it goes on ------------------------------------------------------------------------

    async def say(self, text: str, *, interruptible: bool = True) -> None:
        """Have the agent say ``text``. Raises `ProviderError`, as all here do."""
        message = {"type": "forced_agent_message", "content": text, "urgency": "soon"}
        await self._send({**message, "uninterruptible": not interruptible})

    async def tell(self, text: str) -> None:
        """Tell the model something as if the caller had said it."""
        await self._send({"type": "user_text_message", "text": text, "urgency": "soon"})

    async def hang_up(self) -> None:
        """End the conversation, if it goes on."""
        await self._send({"type": "hang_up"})

    async def _send(self, message: dict[str, Any]) -> None:
        await self._rest.post(f"{self._path}/send_data_message", message)

    @property
    def _path(self) -> str:
        return f"/api/calls/{quote(self.call_id, safe='')}"

    # Afterwards --------------------------------------------------------------------------------

    async def spoken(self) -> list[Line]:
        """Return all that was said, whatever the stage."""
        found: list[Line] = []
        cursor = ""
        for _ in range(_MOST_PAGES):
            query = {"mode": "in_call", "pageSize": str(_PAGE)}
            if cursor:
                query["cursor"] = cursor
            answer = await self._rest.get(f"{self._path}/messages", query)
            try:
                page = msgspec.convert(answer, _Page)
            except msgspec.ValidationError as error:
                raise ProviderLostError(PROVIDER, "has told nonsense of a call") from error
            found += lines(page.results)
            # Not followed as it is: the key goes to the address that it is for.
            cursor = parse_qs(urlsplit(page.next or "").query).get("cursor", [""])[0]
            if not cursor:
                break
        return found

    async def aclose(self) -> None:
        """Close the connections."""
        await self._rest.aclose()


def lines(messages: list[_Message]) -> list[Line]:
    """Return what messages of a call say, tools included."""
    return [
        Line(item, _ms(message.timespan))
        for message in messages
        if (item := _item(message)) is not None
    ]


def _item(message: _Message) -> Item | None:
    text = message.text or ""
    match message.role:
        case "MESSAGE_ROLE_USER" if text:
            return Said("user", text)
        case "MESSAGE_ROLE_AGENT" if text:
            return Said("assistant", text)
        case "MESSAGE_ROLE_TOOL_CALL" if message.tool_name:
            call = Call(message.invocation_id or "", message.tool_name, text)
            return Said("assistant", "", (call,))
        case "MESSAGE_ROLE_TOOL_RESULT":
            return Returned(message.invocation_id or "", text)
    return None


def _ms(span: _Span | None) -> float:
    try:
        return max(0.0, float(span.start.removesuffix("s")) * 1000) if span is not None else 0.0
    except ValueError:
        return 0.0
