"""The upgrade of an HTTP request to a media socket: request head in, response out.

Sans-I/O. The request is checked by websockets' own server; whether the caller may come in is
the gatekeeper's affair, asked only about requests that could become a WebSocket, so that a
malformed one spends nothing. No compression and no subprotocol is ever agreed on, and no Origin
is asked for: Twilio sends none (Media Streams, live captures).
"""

from dataclasses import dataclass
from http import HTTPStatus

import structlog
from websockets.datastructures import MultipleValuesError
from websockets.http11 import Request
from websockets.server import ServerProtocol

from gateway.media.listener import Admission, Gatekeeper, Handshake, Refusal

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """The bytes to send back; with no admission the connection closes after them."""

    response: bytes
    admission: Admission | None


def answer(
    head: bytes, gatekeeper: Gatekeeper, client: tuple[str, int] | None, tls: bool
) -> Answer:
    """Answer the request ``head`` (request line and headers, complete).

    Never raises on what the client sent, nor on what the gatekeeper raises (500, logged).
    """
    server = ServerProtocol(extensions=None, subprotocols=None, origins=None)
    server.receive_data(head)
    request = next(iter(server.events_received()), None)
    if not isinstance(request, Request):
        # websockets answers some malformed requests itself and says nothing to others.
        own = server.reject(
            HTTPStatus.BAD_REQUEST, "The request is not valid HTTP for an upgrade.\n"
        )
        return Answer(b"".join(server.data_to_send()) or own.serialize(), None)
    response = server.accept(request)
    if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
        return Answer(response.serialize(), None)
    handshake = Handshake(request.path, request.headers, client, tls)
    verdict = _ask(gatekeeper, handshake)
    if isinstance(verdict, Admission):
        return Answer(response.serialize(), verdict)
    rejection = server.reject(verdict.status, f"{verdict.sentence}\n")
    _log.info("media socket refused", status=verdict.status, client=client)
    return Answer(rejection.serialize(), None)


def _ask(gatekeeper: Gatekeeper, handshake: Handshake) -> Admission | Refusal:
    try:
        return gatekeeper.admit(handshake)
    except MultipleValuesError as error:
        return Refusal(400, f"Header {error} was sent more than once: send it once.")
    except Exception:
        _log.exception("media socket could not be decided on", client=handshake.client)
        return Refusal(500, "The server could not decide on this request; its log says why.")
