"""The API: who may, what the answers look like, and what wrong bodies get."""

from collections.abc import AsyncIterator
from typing import Any, cast

import httpx2
import pytest
from starlette.applications import Starlette

from gateway.api import Api
from gateway.calls.registry import Calls
from gateway.farm.farm import DeployError, Farm
from gateway.farm.release import ReleaseView
from gateway.operator_socket import OperatorApp
from shared import messages
from tests.gateway.calls.actors import SID, incoming, office
from tests.virtual_time import virtual_time

TOKEN = "a-token"
VIEW = ReleaseView("abc", "live", True, True, 0, 1.0, ("echo:Echo",), 1.0, 2.0, 3, (), "")


class FakeFarm:
    """Deploys as it is told to."""

    def __init__(self) -> None:
        self.fails = False
        self.asked: list[str | None] = []

    def views(self) -> list[ReleaseView]:
        return [VIEW]

    async def deploy(self) -> ReleaseView:
        if self.fails:
            raise DeployError("KeyError: 'x'", "Traceback ...", "abc")
        return VIEW

    async def rollback(self, release: str | None = None) -> ReleaseView:
        self.asked.append(release)
        return VIEW


class FakeCalls:
    """No calls at all."""

    def views(self) -> list[Any]:
        return []

    def find(self, sid: str) -> None:
        return None

    def get(self, sid: str) -> None:
        return None


class Desk:
    """The API as the network and as the operator reach it."""

    def __init__(self) -> None:
        self.farm = FakeFarm()
        api = Api(cast("Calls", FakeCalls()), cast("Farm", self.farm), TOKEN, {})
        app = Starlette(routes=api.routes())
        self.network = _client(app)
        self.operator = _client(OperatorApp(app))

    async def ask(self, verb: str, path: str, token: str = TOKEN, **more: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return await self.network.request(verb, path, headers=headers, **more)


def _client(app: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://callfarm")


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    made = Desk()
    async with made.network, made.operator:
        yield made


ROUTES = [
    ("GET", "/api/releases"),
    ("POST", "/api/releases"),
    ("POST", "/api/releases/rollback"),
    ("GET", "/api/calls"),
    ("GET", "/api/calls/CA1"),
    ("POST", "/api/calls/CA1/hangup"),
    ("POST", "/api/calls/CA1/transfer"),
]


@virtual_time
async def test_a_call_is_shown_with_its_turns_and_troubles_and_listed_without() -> None:
    calls, farm = office()
    calls.incoming(incoming())
    call = calls.get(SID)
    assert call is not None
    call.frame(messages.encode(messages.TurnTimed(0, {"stt_final": 300.0, "first_sent": 304.0})))
    call.frame(messages.encode(messages.ProviderTrouble("cartesia", "is away", "elevenlabs")))
    app = Starlette(routes=Api(calls, cast("Farm", farm), TOKEN, {}).routes())
    async with _client(OperatorApp(app)) as client:
        shown = (await client.get(f"/api/calls/{SID}")).json()
        (listed,) = (await client.get("/api/calls")).json()["calls"]
    assert shown["turns"] == [
        {
            "number": 0,
            "stages": {"stt_final": 300.0, "first_sent": 304.0},
            "reply_ms": None,
            "own_ms": 4.0,
        }
    ]
    assert shown["troubles"][0] | {"at": 0} == {
        "provider": "cartesia",
        "sentence": "is away",
        "fallback": "elevenlabs",
        "at": 0,
    }
    assert not {"turns", "troubles", "lines"} & listed.keys()
    farm.close()


@pytest.mark.parametrize(("verb", "path"), ROUTES)
@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, "Bearer \xff"],
)
async def test_nothing_is_told_or_done_without_the_token(
    desk: Desk, verb: str, path: str, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    answer = await desk.network.request(verb, path, headers=cast("Any", headers))
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json() == {
        "status": 401,
        "detail": "Send Authorization: Bearer API_TOKEN.",
    }
    assert desk.farm.asked == []


async def test_the_control_socket_needs_none(desk: Desk) -> None:
    answer = await desk.operator.get("/api/releases")
    assert answer.json()["releases"][0]["id"] == "abc"


async def test_no_header_makes_the_network_an_operator(desk: Desk) -> None:
    answer = await desk.network.get("/api/releases", headers={"callfarm.operator": "true"})
    assert answer.status_code == 401


async def test_a_deploy_answers_with_the_release(desk: Desk) -> None:
    answer = await desk.ask("POST", "/api/releases")
    assert answer.status_code == 200
    assert answer.json()["agents"] == ["echo:Echo"]


async def test_a_refused_deploy_is_a_problem_with_its_traceback(desk: Desk) -> None:
    desk.farm.fails = True
    answer = await desk.ask("POST", "/api/releases")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "status": 422,
        "detail": "KeyError: 'x'",
        "report": "Traceback ...",
        "release": "abc",
    }


async def test_a_rollback_may_name_its_release(desk: Desk) -> None:
    for body in (None, {}, {"release": None}, {"release": "abc"}):
        assert (await desk.ask("POST", "/api/releases/rollback", json=body)).is_success
    assert desk.farm.asked == [None, None, None, "abc"]


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"release": 1}', b'{"other": 1}', b"x" * 70_000])
async def test_a_wrong_body_is_said_to_be_wrong(desk: Desk, body: bytes) -> None:
    answer = await desk.ask("POST", "/api/releases/rollback", content=body)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("The body is wrong")
    assert desk.farm.asked == []


@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        ("GET", "/api/calls/CA1", None),
        ("POST", "/api/calls/CA1/hangup", None),
        ("POST", "/api/calls/CA1/transfer", {"to": "desk"}),
    ],
)
async def test_a_call_that_nobody_knows_is_not_found(
    desk: Desk, verb: str, path: str, body: object
) -> None:
    answer = await desk.ask(verb, path, json=body)
    assert answer.status_code == 404
    assert answer.json()["detail"].startswith("No such call")
