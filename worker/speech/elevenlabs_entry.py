"""The way into a conversation with an ElevenLabs agent: a signed address, a socket, first words.

    GET get-signed-url ──> address ──socket──> initiation ──> metadata: begun

A signed address serves for one conversation and not for long, so each try asks for its own; the
key goes to ElevenLabs' REST only. A public agent's address needs no signature.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from worker.credentials import Credentials
from worker.errors import ProviderLostError, ProviderRefusedError
from worker.rest import Rest
from worker.speech import elevenlabs_wire as wire
from worker.speech.elevenlabs_wire import PROVIDER

if TYPE_CHECKING:
    from worker.speech.elevenlabs_agent import ElevenLabsAgent

KEY = "ELEVENLABS_API_KEY"
AGENT = "ELEVENLABS_AGENT_ID"

_PATH = "/v1/convai/conversation"


async def address(settings: "ElevenLabsAgent", account: Credentials, agent_id: str) -> str:
    """Return the address of a socket. Raises `ProviderError`."""
    query = {"agent_id": agent_id, **settings.query}
    if settings.public:
        return f"{account.websocket_url}{_PATH}?{urlencode(query)}"
    query["include_conversation_id"] = "true"
    rest = Rest(PROVIDER, KEY, account.base_url, {"xi-api-key": account.key})
    try:
        return _signed(await rest.get(f"{_PATH}/get-signed-url", query), account)
    except ProviderRefusedError as error:
        if error.status != 404:
            raise
        sentence = f"there is no such agent: check agent_id or {AGENT}"
        raise ProviderRefusedError(PROVIDER, f"{sentence}: HTTP 404", 404) from error
    finally:
        await rest.aclose()


def _signed(answer: Any, account: Credentials) -> str:
    """Return the address that was signed: secure, unless the account's own server is not."""
    url = answer.get("signed_url") if isinstance(answer, dict) else None
    schemes = ("wss://", "ws://") if account.base_url.startswith("http://") else ("wss://",)
    if not isinstance(url, str) or not url.startswith(schemes):
        raise ProviderLostError(PROVIDER, "signed no address of a socket")
    return url


async def begun(socket: ClientConnection, initiation: Mapping[str, object]) -> wire.Metadata:
    """Begin the conversation; return what is announced of it. Raises `ProviderError`.

    Nothing else may be sent before that is there.
    """
    told: wire.Told | None = None
    try:
        await socket.send(wire.begin(initiation), text=True)
        while True:
            event = wire.read(await socket.recv(decode=False))
            if event is None:
                continue
            if event.type == "error":
                told = event.error
            elif event.type == "conversation_initiation_metadata" and event.metadata is not None:
                return event.metadata
    except ConnectionClosed as closed:
        code, reason = (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (None, "")
        raise wire.fault(code, reason, told) from None
