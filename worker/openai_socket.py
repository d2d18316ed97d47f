"""What OpenAI's realtime sockets have in common, whatever is said on them.

Audio goes as base64 in JSON, a refusal is an ``error`` object. Its ``message`` may quote the
caller or the key, so it is never read; codes and names of parameters are words of the protocol.
"""

import base64

import msgspec
from msgspec import Struct
from websockets.exceptions import InvalidStatus

from worker.credentials import Credentials
from worker.errors import ProviderError, ProviderLostError, ProviderRefusedError
from worker.openai_client import KEY, NAME
from worker.sockets import socket_fault, status_fault

SESSION_EXPIRED = "session_expired"


class Fault(Struct):
    """Why something was refused; ``event_id`` is the client's event that was."""

    code: str | None = None
    type: str | None = None
    param: str | None = None
    event_id: str | None = None

    @property
    def name(self) -> str:
        """A word for it."""
        return self.code or self.type or "an error"


class _Refusal(Struct):
    error: Fault | None = None


def headers(account: Credentials) -> dict[str, str]:
    """Return what a handshake says; no ``OpenAI-Beta``, which asks for the old protocol."""
    return {"Authorization": f"Bearer {account.key}"}


def append(audio: bytes) -> bytes:
    """Return the event that appends audio, as the bytes of a text frame."""
    encoded = base64.b64encode(audio)
    return b'{"type":"input_audio_buffer.append","audio":"' + encoded + b'"}'


def read_refusal(body: bytes) -> Fault:
    """Return what the body of a refused handshake says, nothing for one that says nothing."""
    try:
        return msgspec.json.decode(body, type=_Refusal).error or Fault()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Fault()


def fault(error: BaseException) -> ProviderError:
    """Make a `ProviderError` of what a socket raised, opening, reading or writing."""
    if isinstance(error, InvalidStatus):  # its body quotes the key
        refused = read_refusal(bytes(error.response.body or b""))
        words = refused.code or refused.type or ""
        retry_after = error.response.headers.get("Retry-After")
        return status_fault(NAME, KEY, error.response.status_code, words, retry_after)
    return socket_fault(NAME, KEY, error)


def setup_fault(refused: Fault) -> ProviderError:
    """Return the error for a session that could not be set up."""
    if refused.type == "server_error":
        return ProviderLostError(NAME, f"is in trouble: {refused.name}")
    words = ", ".join(word for word in (refused.code or refused.type, refused.param) if word)
    return ProviderRefusedError(NAME, f"a setting of the session is wrong: {words}")
