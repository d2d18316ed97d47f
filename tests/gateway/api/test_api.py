"""The API: who may, what the answers look like, and what wrong bodies get."""

from collections.abc import AsyncIterator
from typing import Any, cast

import httpx2
import pytest
from starlette.applications import Starlette

from gateway.api import Api
from gateway.api.door import Door
from gateway.api.endpoint import Endpoint
from gateway.api.table import routes
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

    def by_conversation(self, conversation_id: str) -> None:
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


OPEN = {"/api/health", "/api/openapi.json"}
ROUTES = [
    (it.method, it.path.replace("{sid}", "CA1").replace("{", "").replace("}", ""))
    for _, it in Api(cast("Calls", FakeCalls()), cast("Farm", FakeFarm()), TOKEN, {}).table()
    if it.path not in OPEN
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
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "Send Authorization: Bearer API_TOKEN." in answer.json().values()
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
    body = answer.json()
    assert body.pop("title").startswith("Unprocessable")
    assert body == {
        "status": 422,
        "detail": "KeyError: 'x'",
        "report": "Traceback ...",
        "release": "abc",
    }


async def test_a_rollback_may_name_its_release(desk: Desk) -> None:
    for body in (None, {}, {"release": None}, {"release": "abc"}):
        assert (await desk.ask("POST", "/api/releases/rollback", json=body)).is_success
    assert desk.farm.asked == [None, None, None, "abc"]


@pytest.mark.parametrize(
    "body", [b"[]", b"{", b'{"release": 1}', b'{"other": 1}', b"[" * 60_000, b'"\xff"']
)
async def test_a_wrong_body_is_said_to_be_wrong(desk: Desk, body: bytes) -> None:
    answer = await desk.ask("POST", "/api/releases/rollback", content=body)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("The body is wrong")
    assert desk.farm.asked == []


async def test_a_body_that_is_too_large_is_refused(desk: Desk) -> None:
    answer = await desk.ask("POST", "/api/releases/rollback", content=b"x" * 70_000)
    assert (answer.status_code, answer.json()["detail"]) == (413, "The body is over 65536 bytes.")


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "nonsense"])
async def test_a_body_that_is_no_json_is_refused_by_its_type(desk: Desk, kind: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind}
    answer = await desk.network.post(
        "/api/releases/rollback", content=b'{"release": "abc"}', headers=headers
    )
    assert answer.status_code == 415
    assert desk.farm.asked == []


async def test_a_body_that_is_missing_is_asked_for(desk: Desk) -> None:
    answer = await desk.ask("POST", "/api/calls/CA1/transfer")
    assert (answer.status_code, answer.json()["detail"]) == (400, "A body is missing: send JSON.")


async def test_another_method_is_told_which_there_are(desk: Desk) -> None:
    for path, allow in (
        ("/api/releases", "GET, POST, HEAD"),
        ("/api/calls/CA1/hangup", "POST"),
        ("/active-calls", "GET, HEAD"),
    ):
        answer = await desk.network.request("PUT", path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allow)
        assert answer.headers["content-type"] == "application/problem+json"


async def test_what_is_nowhere_is_a_problem_that_says_where_to_look(desk: Desk) -> None:
    for path in ("/api/", "/api/nothing", "/api/calls/CA1/nothing", "/api/calls/"):
        answer = await desk.network.get(path)
        assert answer.status_code == 404
        assert "openapi.json" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("?colour=red", "There is no parameter 'colour' here; known: live, state, direction"),
        ("?limit=0", "A parameter is wrong: Expected int >= 1 at limit."),
        ("?limit=ten", "A parameter is wrong: Expected int"),
        ("?state=asleep", "A parameter is wrong: Invalid enum value 'asleep' at state; known:"),
        ("?since=soon", "A parameter is wrong"),
        ("?limit=5&limit=6", "A parameter is given twice."),
    ],
)
async def test_a_wrong_parameter_is_named(desk: Desk, query: str, sentence: str) -> None:
    answer = await desk.ask("GET", "/api/calls" + query)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(sentence)


@pytest.mark.parametrize("query", ["?since=9999999999999999999999d", "?until=2026-02-30"])
async def test_a_time_that_is_none_is_said_to_be_none(desk: Desk, query: str) -> None:
    answer = await desk.ask("GET", "/api/calls" + query)
    assert answer.status_code == 422
    assert "is no time" in answer.json()["detail"]


async def test_answers_are_kept_by_no_cache(desk: Desk) -> None:
    for path in ("/api/releases", "/api/openapi.json", "/api/calls/CA1"):
        assert (await desk.ask("GET", path)).headers["cache-control"] == "no-store"


async def test_the_head_of_an_answer_may_be_asked_for(desk: Desk) -> None:
    assert (await desk.ask("HEAD", "/api/releases")).status_code == 200


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


async def test_a_path_that_is_named_goes_before_one_that_is_variable() -> None:
    async def named(asked: object) -> object:
        return "named"

    async def variable(asked: object) -> object:
        return "variable"

    table = [
        Endpoint(method="GET", path="/a/{id}", scope=None, handler=variable, summary=""),
        Endpoint(method="GET", path="/a/b", scope=None, handler=named, summary=""),
    ]
    async with _client(Starlette(routes=routes(Door(TOKEN, None), table))) as client:
        assert (await client.get("/a/b")).json() == "named"
        assert (await client.get("/a/c")).json() == "variable"
