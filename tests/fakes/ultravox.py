"""Ultravox as documented: its REST API, and what its joinUrls lead to, refusals included.

    async with UltravoxFake() as fake:    # ULTRAVOX_BASE_URL=fake.url
        fake.script.replies = {"hello": "Good morning."}

A call whose medium is ``serverWebSocket`` talks PCM16 and data messages, one whose medium is
``twilio`` Twilio's media stream; the same ``script`` answers on both. Its speech says its own
words. Not for use across threads.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from aiohttp import ClientSession, web

from tests.fakes.ultravox_body import check_call
from tests.fakes.ultravox_calls import FakeCall
from tests.fakes.ultravox_checks import BadBodyError, seconds
from tests.fakes.ultravox_faults import Manners, Refusal
from tests.fakes.ultravox_hooks import Hooks
from tests.fakes.ultravox_lines import PcmLine, TwilioLine
from tests.fakes.ultravox_talk import Talk
from tests.fakes.ultravox_voices import VOICES, voices_page
from tests.fakes.voice_model import Script

KEY = "uv_test"
LEAST_IDLE_S = 10.0
RATES = frozenset({8000, 16_000, 24_000, 48_000})
_BY_REST = ("user_text_message", "forced_agent_message", "hang_up")
_MODES = ("last_stage", "in_call")


class UltravoxFake:
    """An account's server on a port of its own, an async context manager. Times in seconds.

    ``sessions`` holds the calls, oldest first; ``requests`` what was asked, as method and path.
    What stands in ``next_creations`` and ``next_joins`` befalls those, one each, and what stands in
    ``next_reads`` what is asked of calls; ``answer_s`` passes before each answer. ``agents`` are
    the stored ones, ``corpora`` their passages.
    """

    def __init__(
        self,
        key: str = KEY,
        *,
        least_idle_s: float = LEAST_IDLE_S,
        tolerance_s: float = 1.0,
        concurrency: int | None = None,
        rates: frozenset[int] = RATES,
        port: int = 0,
    ) -> None:
        self.key, self.url, self._port = key, "", port
        self.least_idle_s, self.tolerance_s = least_idle_s, tolerance_s
        self.concurrency, self.rates = concurrency, rates
        self.answer_s = 0.0
        self.script, self.manners = Script(), Manners()
        self.sessions: list[FakeCall] = []
        self.requests: list[str] = []
        self.next_creations: deque[Refusal | None] = deque()
        self.next_joins: deque[Refusal | None] = deque()
        self.next_reads: deque[Refusal | None] = deque()
        self.voices = [dict(it) for it in VOICES]
        self.agents: dict[str, dict[str, Any]] = {}
        self.corpora: dict[str, list[dict[str, Any]]] = {}
        self.hooks = Hooks()
        self._talks: dict[str, Talk] = {}

    @property
    def last(self) -> FakeCall:
        """The newest call."""
        return self.sessions[-1]

    def active(self) -> list[FakeCall]:
        """Return the calls that were made and are not over."""
        for call in self.sessions:
            call.lapse()
        return [call for call in self.sessions if call.ended is None]

    async def lose(self, code: int | None) -> None:
        """End the sockets of all calls that go on; ``None`` cuts them without a close."""
        for talk in list(self._talks.values()):
            await talk.lose(code)

    async def until(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait until a condition is true; ``TimeoutError`` if it never is."""
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - anything may be waited for
                await asyncio.sleep(0.005)

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=8 << 20, middlewares=[self._admit])
        app.router.add_post("/api/calls", self._create)
        app.router.add_post("/api/agents/{agent}/calls", self._create)
        app.router.add_get("/api/calls/{call}", self._show)
        app.router.add_get("/api/calls/{call}/messages", self._messages)
        app.router.add_get("/api/calls/{call}/stages", self._stages)
        app.router.add_post("/api/calls/{call}/send_data_message", self._inject)
        app.router.add_post("/api/corpora/{corpus}/query", self._query)
        app.router.add_get("/api/voices", self._voices)
        app.router.add_get("/join/{token}", self._join)
        self._http = ClientSession()
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.hooks.aclose()
        await self._runner.cleanup()
        await self._http.close()

    # The API -----------------------------------------------------------------------------------

    @web.middleware
    async def _admit(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path.startswith("/join/"):
            found: web.StreamResponse = await handler(request)
            return found
        self.requests.append(f"{request.method} {request.path}")
        if self.answer_s:
            await asyncio.sleep(self.answer_s)
        if request.headers.get("X-API-Key") != self.key:
            return _refused(Refusal(401, body='{"detail": "Authentication failed."}'))
        reads = request.method == "GET" and request.path.startswith("/api/calls/")
        if reads and self.next_reads and (refusal := self.next_reads.popleft()) is not None:
            return _refused(refusal)
        try:
            answer: web.StreamResponse = await handler(request)
        except BadBodyError as bad:
            return web.json_response({bad.where: [bad.what]}, status=400)
        return answer

    async def _create(self, request: web.Request) -> web.StreamResponse:
        refusal = self.next_creations.popleft() if self.next_creations else None
        if refusal is not None:
            return _refused(refusal)
        body = await _body(request)
        agent = request.match_info.get("agent")
        if agent is not None and agent not in self.agents:
            return _refused(Refusal(404))
        check_call(body, of_agent=agent is not None)
        for name in ("inputSampleRate", "outputSampleRate"):
            rate = body.get("medium", {}).get("serverWebSocket", {}).get(name, 8000)
            if rate not in self.rates:
                raise BadBodyError(f"medium.serverWebSocket.{name}", f"{rate} is not supported")
        prior = request.query.get("priorCallId")
        before = self._call(prior) if prior else None
        if prior and before is None:
            raise BadBodyError("priorCallId", "is no call")
        if self.concurrency is not None and len(self.active()) >= self.concurrency:
            return _refused(Refusal(429, "5"))
        stored = self.agents[agent] if agent is not None else {}
        inherited = before.body if before is not None else {}
        call = FakeCall({**stored, **inherited, **body}, prior=prior, agent=agent)
        if before is not None and "initialMessages" not in body:
            call.messages = [dict(it) for it in before.messages]
        call.on_end = lambda it: self._announce("call.ended", it)
        self.sessions.append(call)
        self._announce("call.started", call)
        return web.json_response(call.shown(self._join_url(call)), status=201)

    def _announce(self, event: str, call: FakeCall) -> None:
        self.hooks.announce(self._http, event, call.body, call.shown(self._join_url(call)))

    def _join_url(self, call: FakeCall) -> str:
        return f"ws{self.url.removeprefix('http')}/join/{call.join_token}"

    def _call(self, call_id: str) -> FakeCall | None:
        found = next((it for it in self.sessions if it.id == call_id), None)
        if found is not None:
            found.lapse()
        return found

    def _called(self, request: web.Request) -> FakeCall:
        call = self._call(request.match_info["call"])
        if call is None:
            raise web.HTTPNotFound(text='{"detail": "Not found."}')
        return call

    async def _show(self, request: web.Request) -> web.StreamResponse:
        call = self._called(request)
        return web.json_response(call.shown(self._join_url(call)))

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        call, mode = self._called(request), request.query.get("mode", "last_stage")
        if mode not in _MODES:
            raise BadBodyError("mode", f"is none of {', '.join(_MODES)}")
        size, start = (
            int(request.query.get("pageSize", "100")),
            int(request.query.get("cursor", "0")),
        )
        stage = call.stages[-1]["id"]
        found = [
            it
            for it in call.messages
            if mode == "in_call" or it.get("callStageId") in (None, stage)
        ]
        end = start + size
        more = f"{self.url}{request.path}?mode={mode}&pageSize={size}&cursor={end}"
        page = {"next": more if end < len(found) else None, "previous": None}
        return web.json_response({**page, "total": len(found), "results": found[start:end]})

    async def _stages(self, request: web.Request) -> web.StreamResponse:
        call = self._called(request)
        results = [
            {"callId": call.id, "callStageId": it["id"], "systemPrompt": it.get("systemPrompt", "")}
            for it in call.stages
        ]
        return web.json_response({"next": None, "previous": None, "results": results})

    async def _inject(self, request: web.Request) -> web.StreamResponse:
        call, message = self._called(request), await _body(request)
        if message.get("type") not in _BY_REST:
            raise BadBodyError("type", f"is none of {', '.join(_BY_REST)}")
        talk = self._talks.get(call.id)
        if talk is None or not call.is_active:
            return _refused(Refusal(422, body='{"detail": "The call is not active."}'))
        await talk.inject(message)
        return web.Response(status=204)

    async def _query(self, request: web.Request) -> web.StreamResponse:
        body = await _body(request)
        if not isinstance(body.get("query"), str) or set(body) - {"query", "maxResults"}:
            raise BadBodyError("query", "is required")
        found = self.corpora.get(request.match_info["corpus"])
        if found is None:
            return _refused(Refusal(404))
        return web.json_response(found[: body.get("maxResults", 5)])

    async def _voices(self, request: web.Request) -> web.StreamResponse:
        return await voices_page(request, self.voices)

    # A call ------------------------------------------------------------------------------------

    async def _join(self, request: web.Request) -> web.StreamResponse:
        refusal = self.next_joins.popleft() if self.next_joins else None
        token = request.match_info["token"]
        call = next((it for it in self.sessions if it.join_token == token), None)
        if call is not None:
            call.lapse()
        if refusal is None and (call is None or call.joined or call.ended):
            refusal = Refusal(404 if call is None else 403)
        if call is None or refusal is not None:
            return _refused(refusal or Refusal(404))
        socket = web.WebSocketResponse(timeout=1.0, max_msg_size=1 << 20)
        await socket.prepare(request)
        call.joined, call.joined_at = datetime.now(UTC).isoformat(), time.monotonic()
        self._announce("call.joined", call)
        line = self._line(call, socket, request)
        call.warnings = line.warnings
        talk = Talk(call, line, self.script, self.manners, self._http, self.corpora)
        call.audio = talk.ears.audio
        self._talks[call.id] = talk
        try:
            await talk.run()
        finally:
            call.end("connection_error")
            del self._talks[call.id]
        return socket

    def _line(
        self, call: FakeCall, socket: web.WebSocketResponse, request: web.Request
    ) -> PcmLine | TwilioLine:
        if call.medium_name == "twilio":
            return TwilioLine(socket, request)
        idle = call.medium.get("mediaIdleTimeout")
        return PcmLine(
            socket,
            request,
            call.medium,
            idle_s=max(self.least_idle_s, seconds(idle)) if idle else None,
            tolerance_s=self.tolerance_s,
            odd=self.manners.odd,
        )


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError:
        raise BadBodyError("body", "is no JSON") from None
    if not isinstance(body, dict):
        raise BadBodyError("body", "is no object")
    return body


def _refused(refusal: Refusal) -> web.Response:
    headers = {} if refusal.retry_after is None else {"Retry-After": refusal.retry_after}
    return web.Response(
        status=refusal.status,
        text=refusal.body,
        content_type="application/json",
        headers=headers,
    )
