import http.server
import socket
import threading
from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidHandshake

from gateway.doctor.finding import Status
from gateway.doctor.network import check_port, check_public_url
from shared.settings import Settings
from tests.gateway.doctor.conftest import Seen


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[tuple[int, type[Handler]]]:
    handler = type("Fresh", (Handler,), {})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port, handler
        server.shutdown()
        thread.join()


def port(number: int, host: str = "127.0.0.1") -> Seen:
    return Seen(check_port(Settings(host=host, port=number)))


def public(url: str | None, status: int | Exception = 400) -> Seen:
    def upgrade_status(asked: str) -> int:
        assert asked == f"{(url or '').replace('https', 'wss')}/twilio/media/doctor"
        if isinstance(status, Exception):
            raise status
        return status

    return Seen(check_public_url(Settings(public_url=url), upgrade_status))


def test_a_free_port_is_fine() -> None:
    assert port(0).worst is Status.OK


def test_a_port_taken_by_a_server_with_a_health_page_is_ours(
    server: tuple[int, type[Handler]],
) -> None:
    seen = port(server[0])
    assert seen.worst is Status.OK
    assert "callfarm runs" in seen.text


def test_a_port_taken_by_another_server_fails(server: tuple[int, type[Handler]]) -> None:
    server[1].status = 404
    seen = port(server[0])
    assert seen.worst is Status.FAIL
    assert "another PORT" in seen.text


def test_a_port_taken_by_what_speaks_no_http_fails() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            listener.accept()[0].close()

        thread = threading.Thread(target=refuse)
        thread.start()
        assert port(listener.getsockname()[1]).worst is Status.FAIL
        thread.join()


def test_an_address_of_another_machine_fails() -> None:
    seen = port(0, host="192.0.2.1")
    assert seen.worst is Status.FAIL
    assert "HOST" in seen.text


def test_without_a_public_address_requests_tell_it() -> None:
    assert public(None).worst is Status.OK


@pytest.mark.parametrize(
    ("status", "expected", "said"),
    [
        (400, Status.OK, "WebSocket upgrades reach callfarm"),
        (404, Status.WARN, "upgrades are lost"),
        (426, Status.WARN, "upgrades are lost"),
        (502, Status.WARN, "answers 502"),
        (ConnectionRefusedError("refused"), Status.WARN, "not reached"),
        (TimeoutError("timed out"), Status.WARN, "not reached"),
        (InvalidHandshake("nonsense"), Status.WARN, "not reached"),
    ],
)
def test_the_way_in_is_tried_with_an_upgrade(
    status: int | Exception, expected: Status, said: str
) -> None:
    seen = public("https://calls.example.com/prefix", status)
    assert seen.worst is expected
    assert said in seen.text
    assert seen.all_have_fixes()


def test_plain_http_outside_fails_with_the_address_to_set() -> None:
    seen = public("http://calls.example.com")
    assert seen.worst is Status.FAIL
    assert "PUBLIC_URL=https://calls.example.com" in seen.text


@pytest.mark.parametrize(
    "url",
    [
        "https://localhost",
        "https://127.0.0.1:8000",
        "http://192.168.1.5",
        "https://[::1]",
        "https://x.local",
    ],
)
def test_an_address_that_twilio_cannot_reach_is_a_warning(url: str) -> None:
    assert public(url, AssertionError("must not be tried")).worst is Status.WARN


def test_the_real_probe_reads_the_status_of_a_refused_upgrade(
    server: tuple[int, type[Handler]],
) -> None:
    from gateway.doctor import network

    server[1].status = 403
    assert network._upgrade_status(f"ws://127.0.0.1:{server[0]}/x") == 403
