"""The upgrade: what is let in, what is refused, and that nothing a client sends raises."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.http11 import Response
from websockets.uri import parse_uri

from gateway.media.handshake import Answer, answer
from gateway.media.listener import Admission, Handshake, Refusal, StreamListener
from tests.gateway.media.recorder import Recorder

GOOD = {
    "host": "farm.example",
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-version": "13",
    "x-twilio-signature": "c2lnbmF0dXJl",
}


def head(
    headers: dict[str, str] | None = None, line: str = "GET /twilio/media/t%20k?x=1 HTTP/1.1"
) -> bytes:
    fields = "".join(f"{name}: {value}\r\n" for name, value in (headers or GOOD).items())
    return f"{line}\r\n{fields}\r\n".encode("latin-1")


@dataclass
class Porter:
    """Gives everyone the same verdict and remembers who asked."""

    verdict: Admission | Refusal
    asked: list[Handshake] = field(default_factory=list)

    def admit(self, handshake: Handshake) -> Admission | Refusal:
        self.asked.append(handshake)
        return self.verdict


class SignatureReader:
    def admit(self, handshake: Handshake) -> Refusal:
        return Refusal(403, handshake.headers.get("X-Twilio-Signature", ""))


class Broken:
    def admit(self, handshake: Handshake) -> Admission:
        raise RuntimeError("the vault is empty")


def admission() -> Admission:
    listener: StreamListener = Recorder()
    return Admission(listener, "CA1", "AC1")


def status(given_answer: Answer) -> int:
    return int(given_answer.response.split(b" ", 2)[1])


def body(given_answer: Answer) -> str:
    return given_answer.response.partition(b"\r\n\r\n")[2].decode()


def test_the_gatekeeper_sees_the_request_as_it_was_sent() -> None:
    porter = Porter(admission())
    result = answer(head(), porter, ("192.0.2.1", 4321), tls=True)
    assert result.admission is porter.verdict
    (seen,) = porter.asked
    assert seen.target == "/twilio/media/t%20k?x=1"
    assert seen.headers.get("X-TWILIO-Signature") == "c2lnbmF0dXJl"
    assert (seen.client, seen.tls) == (("192.0.2.1", 4321), True)


def test_websockets_client_is_content_with_our_acceptance() -> None:
    peer = ClientProtocol(parse_uri("ws://farm.example/twilio/media/token"))
    peer.send_request(peer.connect())
    result = answer(b"".join(peer.data_to_send()), Porter(admission()), None, tls=False)
    peer.receive_data(result.response)
    (response,) = peer.events_received()
    assert isinstance(response, Response)
    assert response.status_code == 101
    assert peer.handshake_exc is None


def test_neither_compression_nor_a_subprotocol_is_agreed_on() -> None:
    offers = {
        "sec-websocket-extensions": "permessage-deflate; client_max_window_bits",
        "sec-websocket-protocol": "audio.twilio.com, chat",
        "origin": "https://elsewhere.example",
    }
    result = answer(head(GOOD | offers), Porter(admission()), None, tls=False)
    assert status(result) == 101
    assert b"extensions" not in result.response.lower()
    assert b"protocol" not in result.response.lower().replace(b"switching protocols", b"")


@pytest.mark.parametrize("code", [400, 403, 404, 429, 503])
def test_a_refusal_is_a_plain_sentence_with_its_status(code: int) -> None:
    result = answer(head(), Porter(Refusal(code, "Not now: später.")), None, tls=False)
    assert result.admission is None
    assert status(result) == code
    assert body(result) == "Not now: später.\n"
    assert b"text/plain; charset=utf-8" in result.response
    assert b"Connection: close" in result.response


@pytest.mark.parametrize(
    ("request_head", "code"),
    [
        (head({k: v for k, v in GOOD.items() if k != "sec-websocket-key"}), 400),
        (head({k: v for k, v in GOOD.items() if k != "sec-websocket-version"}), 400),
        (head(GOOD | {"sec-websocket-key": "short"}), 400),
        (head(GOOD | {"sec-websocket-version": "8"}), 400),
        (head(GOOD | {"connection": "keep-alive"}), 426),
        (head(GOOD | {"upgrade": "h2c"}), 426),
        (head(GOOD | {"content-length": "5"}), 400),
        (head(GOOD | {"transfer-encoding": "chunked"}), 400),
        (head(line="POST / HTTP/1.1"), 405),
        (head(line="GET / HTTP/1.0"), 505),
        (head(line="nonsense"), 400),
        (head(GOOD | {"x": "y" * 9000}), 431),
        (head(GOOD | {f"x{i}": "y" for i in range(200)}), 431),
        (head(line=f"GET /{'x' * 9000} HTTP/1.1"), 414),
    ],
)
def test_what_cannot_be_a_websocket_never_reaches_the_gatekeeper(
    request_head: bytes, code: int
) -> None:
    porter = Porter(admission())
    result = answer(request_head, porter, None, tls=False)
    assert (status(result), result.admission, porter.asked) == (code, None, [])


def test_a_header_sent_twice_is_the_clients_fault() -> None:
    twice = head()[:-2] + b"X-Twilio-Signature: other\r\n\r\n"
    result = answer(twice, SignatureReader(), None, tls=False)
    assert (status(result), result.admission) == (400, None)


def test_a_gatekeeper_that_raises_lets_nobody_in_and_tells_no_secret() -> None:
    result = answer(head(), Broken(), None, tls=False)
    assert (status(result), result.admission) == (500, None)
    assert "vault" not in body(result)


@given(st.binary(max_size=300), st.booleans())
def test_arbitrary_requests_never_raise(data: bytes, ended: bool) -> None:
    result = answer(data + b"\r\n\r\n" * ended, Porter(admission()), None, tls=False)
    assert result.admission is None
