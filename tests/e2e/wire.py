"""A carrier by hand: one webhook, one socket, one message at a time, in any order a test likes.

For the orders that the built-in phone, being faithful, does not produce.
"""

import secrets
from collections.abc import Mapping
from types import TracebackType
from xml.etree import ElementTree

import httpx2
from websockets.asyncio.client import ClientConnection, connect

from phone.messages import CONNECTED, Writer
from phone.parameters import Identity
from phone.signature import Signer
from tests.harness import ACCOUNT_SID, AUTH_TOKEN, RunningGateway


class Wire:
    """One call's requests. Use it as a context manager."""

    def __init__(self, gateway: RunningGateway, sid: str | None = None) -> None:
        self.sid = sid or "CA" + secrets.token_hex(16)
        self._gateway = gateway
        self._signer = Signer(AUTH_TOKEN)
        self._identity = Identity(ACCOUNT_SID, self.sid, "+15550002222", "+15550001111", {})
        self._http = httpx2.AsyncClient(timeout=30)

    async def __aenter__(self) -> "Wire":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def _post(self, path: str, fields: Mapping[str, str]) -> httpx2.Response:
        url = self._gateway.url + path
        signature = self._signer.http(url, fields)
        return await self._http.post(
            url, data=dict(fields), headers={"X-Twilio-Signature": signature}
        )

    async def webhook(self) -> str:
        """Ask the voice webhook; return its document."""
        answer = await self._post("/twilio/voice", self._identity.standard("ringing"))
        assert answer.status_code == 200, answer.text
        return answer.text

    async def next(self, **more: str) -> str:
        """Ask how the call goes on; return the document."""
        answer = await self._post("/twilio/next", self._identity.standard("in-progress") | more)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def status(self, status: str = "completed") -> None:
        """Send the call's status callback."""
        answer = await self._post("/twilio/status", self._identity.progress(status, 0))
        assert answer.status_code == 204, answer.text

    async def open(self, document: str) -> ClientConnection:
        """Open the media socket of ``document``, without a word on it."""
        url = stream_url(document)
        return await connect(
            url, additional_headers={"x-twilio-signature": self._signer.socket(url)}
        )

    async def stream(self, document: str, call_sid: str | None = None) -> ClientConnection:
        """Open the media socket of ``document`` and start a stream on it."""
        socket = await self.open(document)
        writer = Writer(ACCOUNT_SID, call_sid or self.sid, "MZ" + secrets.token_hex(16))
        await socket.send(CONNECTED)
        await socket.send(writer.start({}))
        return socket


def stream_url(document: str) -> str:
    """Return the media socket's URL in a document. Raises ``AssertionError`` when it has none."""
    found = ElementTree.fromstring(document.encode()).find(".//Stream")
    assert found is not None, document
    return found.attrib["url"]


def lose(socket: ClientConnection) -> None:
    """Lose the connection without a closing handshake."""
    socket.transport.abort()
