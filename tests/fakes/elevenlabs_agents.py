"""ElevenLabs Agents as documented: the signed address by REST, the conversation's WebSocket.

    async with ElevenLabsAgentsFake() as fake:    # ELEVENLABS_BASE_URL=fake.url
        fake.script.replies = {"book a table": [Wants("book", {"people": 2}), "Booked."]}

What it refuses, and when it interrupts, is the server's as far as that is known. Not for use
across threads.
"""

import asyncio
import json
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from tests.fakes.elevenlabs_agents_manners import Manners
from tests.fakes.elevenlabs_agents_request import Setup
from tests.fakes.elevenlabs_agents_session import Session
from tests.fakes.voice_faults import Refusal
from tests.fakes.voice_model import Script
from tests.fakes.voice_server import VoiceServer

KEY = "sk_el_test"

_PATH = "/v1/convai/conversation"
_SIGNED_QUERY = {
    "agent_id",
    "include_conversation_id",
    "branch_id",
    "version_id",
    "environment",
}


@dataclass(slots=True)
class _Signed:
    conversation_id: str
    is_used: bool = False


@dataclass(slots=True)
class _Ids:
    numbers: "count[int]" = field(default_factory=lambda: count(1))

    def next(self, kind: str) -> str:
        return f"{kind}_{next(self.numbers)}"


class ElevenLabsAgentsFake(VoiceServer):
    """A server on a port of its own at ``url``, an async context manager.

    ``sessions`` holds the conversations, oldest first, ``signings`` the requests for addresses.
    What stands in ``next_signings`` and ``next_upgrades`` befalls those, one each.
    """

    def __init__(
        self,
        key: str = KEY,
        setup: Setup | None = None,
        script: Script | None = None,
        manners: Manners | None = None,
    ) -> None:
        super().__init__()
        self.key = key
        self.setup = setup or Setup()
        self.script = script or Script()
        self.manners = manners or Manners()
        self.sessions: list[Session] = []
        self.signings: deque[Request] = deque(maxlen=1000)
        self.next_signings: deque[Refusal | None] = deque()
        self._signed: dict[str, _Signed] = {}
        self._ids = _Ids()

    def body(self, refusal: Refusal) -> str:
        detail: object = {"status": refusal.code, "message": "as programmed"}
        if refusal.status == 422:
            detail = [{"loc": ["query", refusal.code], "msg": "wrong", "type": "value_error"}]
        return json.dumps({"detail": detail})

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        url = urlsplit(request.path)
        if url.path != f"{_PATH}/get-signed-url":
            return super()._admit(connection, request)
        self.signings.append(request)
        refusal = self.next_signings.popleft() if self.next_signings else None
        query = dict(parse_qsl(url.query))
        refusal = refusal or self._refused(request, query)
        if refusal is not None:
            return _json(refusal.status, self.body(refusal), refusal.retry_after)
        return _json(200, json.dumps({"signed_url": self._sign(query)}))

    def _refused(self, request: Request, query: dict[str, str]) -> Refusal | None:
        """Return why no address is signed, if it is not."""
        if request.headers.get("xi-api-key") != self.key:
            return Refusal(401, "invalid_api_key")
        if "agent_id" not in query:
            return Refusal(422, "agent_id")
        if unknown := sorted(set(query) - _SIGNED_QUERY):
            return Refusal(422, unknown[0])
        if query["agent_id"] != self.setup.agent_id:
            return Refusal(404, "document_not_found")
        return None

    def _sign(self, query: dict[str, str]) -> str:
        signature = self._ids.next("cvtkn")
        self._signed[signature] = _Signed(self._ids.next("conv"))
        where = f"ws{self.url.removeprefix('http')}{_PATH}"
        return f"{where}?agent_id={query['agent_id']}&conversation_signature={signature}"

    def refusal(self, request: Request) -> Refusal | None:
        url = urlsplit(request.path)
        if url.path != _PATH:
            return Refusal(404, "not_found")
        signed = self._signed.get(dict(parse_qsl(url.query)).get("conversation_signature", ""))
        if signed is not None and signed.is_used:
            return Refusal(403, "signature_used")
        return None

    def denial(self, query: dict[str, str]) -> str:
        """Return why a socket is closed (3000) before anything is said, if it is."""
        if query.get("agent_id") != self.setup.agent_id:
            return "The AI agent you are trying to reach does not exist."
        if not self.setup.public and query.get("conversation_signature", "") not in self._signed:
            return "The AI agent you are trying to reach requires authentication."
        return ""

    async def converse(self, connection: ServerConnection, group: asyncio.TaskGroup) -> None:
        assert connection.request is not None
        query = dict(parse_qsl(urlsplit(connection.request.path).query))
        if reason := self.denial(query):
            await connection.close(3000, reason)
            return
        signed = self._signed.get(query.get("conversation_signature", ""))
        if signed is not None:
            signed.is_used = True
        name = signed.conversation_id if signed is not None else self._ids.next("conv")
        session = Session(self, connection, group, name)
        self.sessions.append(session)
        await session.run()


def _json(status: int, body: str, retry_after: str | None = None) -> Response:
    content = body.encode()
    headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(content))})
    headers["Connection"] = "close"
    if retry_after is not None:
        headers["Retry-After"] = retry_after
    return Response(status, "As told", headers, content)
