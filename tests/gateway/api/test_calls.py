"""Lists of calls, one call, and orders to a call in progress."""

from typing import Any

import pytest
from sqlalchemy import text

from gateway.calls.call import Call
from gateway.calls.state import CallState, Plan
from gateway.store.store import Upsert
from shared import messages
from tests.gateway.api.bureau import Bureau
from tests.gateway.calls.actors import SID, incoming
from tests.harness import eventually


def kept(number: int, **values: Any) -> Upsert:
    """Return a call that was."""
    sid = f"CA{number:05}"
    row = {"sid": sid, "began": float(number), "ended": number + 5.0, "state": "ended", **values}
    return Upsert("calls", row)


def begun(office: Bureau) -> Call:
    """Let a call come in, and its stream open."""
    office.calls.incoming(incoming())
    call = office.calls.get(SID)
    assert call is not None
    call.frame(messages.encode(messages.Running("desk:Desk")))
    return call


async def sids(office: Bureau, query: str = "") -> list[str]:
    return [it["sid"] for it in (await office.told("GET", f"/api/calls{query}"))["calls"]]


async def test_pages_of_calls_are_the_newest_first_and_end(office: Bureau) -> None:
    office.store.write(*(kept(number) for number in range(1, 8)))
    found, cursor = [], ""
    while True:
        page = await office.told("GET", f"/api/calls?limit=3{cursor}")
        found.append([it["sid"] for it in page["calls"]])
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert found == [
        ["CA00007", "CA00006", "CA00005"],
        ["CA00004", "CA00003", "CA00002"],
        ["CA00001"],
    ]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?direction=inbound", [3]),
        ("?from=%2B491", [3, 2]),
        ("?to=%2B492", [3]),
        ("?number=%2B491", [3, 2, 1]),
        ("?outcome=transferred", [2]),
        ("?agent=a:B", [1]),
        ("?company=7", [2, 1]),
        ("?campaign=c1", [2]),
        ("?since=2", [3, 2]),
        ("?until=1970-01-01T00:00:03Z", [2, 1]),
        ("?since=1970-01-01&until=2.5&state=ended", [2, 1]),
        ("?live=false", [3, 2, 1]),
        ("?live=true", []),
    ],
)
async def test_calls_are_chosen_by_what_is_asked(
    office: Bureau, query: str, found: list[int]
) -> None:
    office.store.write(
        kept(1, agent="a:B", from_number="+490", to_number="+491", company_id=7),
        kept(2, outcome="transferred", from_number="+491", company_id=7, campaign_id="c1"),
        kept(3, direction="inbound", from_number="+491", to_number="+492"),
    )
    assert await sids(office, query) == [f"CA{number:05}" for number in found]


@pytest.mark.parametrize("query", ["number=+491", "number=%2B491", "from=+491", "to=+491"])
async def test_a_plus_that_a_query_has_lost_is_put_back(office: Bureau, query: str) -> None:
    office.store.write(kept(1, from_number="+491", to_number="+491"))
    assert await sids(office, "?" + query) == ["CA00001"]


async def test_a_call_in_progress_is_among_all_calls_and_alone_among_the_live(
    office: Bureau,
) -> None:
    office.store.write(kept(1))
    call = begun(office)
    assert await sids(office) == [SID, "CA00001"]
    (shown,) = (await office.told("GET", "/api/calls?live=true"))["calls"]
    assert (shown["sid"], shown["live"], shown["agent"], shown["from"]) == (
        SID,
        True,
        "desk:Desk",
        "+1",
    )
    assert await sids(office, "?live=true&agent=another:One") == []
    call.end("done")
    assert await sids(office, "?live=true") == []
    assert await sids(office, "?live=false") == [SID, "CA00001"]


async def test_where_a_call_in_progress_stands_is_the_same_in_every_list(office: Bureau) -> None:
    call = begun(office)
    call.flow.machine.move(CallState.STREAMING)
    call.flow.machine.move(CallState.GAP)
    for query in ("", "?live=true"):
        (shown,) = (await office.told("GET", f"/api/calls{query}"))["calls"]
        assert shown["state"] == "gap"


async def test_a_page_says_that_the_database_is_behind_and_what_memory_knows(
    office: Bureau,
) -> None:
    call = begun(office)
    assert await sids(office) == [SID]
    await office.store.commit(text("ALTER TABLE calls RENAME TO gone"))
    await office.store.commit(text("CREATE VIEW calls AS SELECT * FROM gone"))
    call.end("done")
    await eventually(lambda: office.store.statistics.writer.troubled)
    page = await office.told("GET", "/api/calls")
    assert page["partial"] is True
    (shown,) = page["calls"]
    assert (shown["live"], shown["state"], shown["reason"]) == (False, "ended", "done")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?since=yesterday", "or how long ago: 30m, 24h, 7d at since."),
        ("?limit=0", "Expected int >= 1 at limit."),
        ("?outcome=ok", "Invalid enum value 'ok' at outcome; known: abandoned, busy, canceled,"),
        ("?state=lost", "Invalid enum value 'lost' at state; known: ringing, streaming, gap,"),
    ],
)
async def test_a_wrong_parameter_is_told_what_would_be_right(
    office: Bureau, query: str, said: str
) -> None:
    answer = await office.ask("GET", f"/api/calls{query}")
    assert answer.status_code == 400
    assert said in answer.json()["detail"]


async def test_without_a_database_the_calls_of_the_memory_are_listed_and_said_to_be_few(
    office: Bureau,
) -> None:
    begun(office)
    await office.store.flush()
    await office.store.commit(text("ALTER TABLE calls RENAME TO gone"))
    page = await office.told("GET", "/api/calls")
    assert ([it["sid"] for it in page["calls"]], page["partial"]) == ([SID], True)
    assert (await office.told("GET", f"/api/calls/{SID}"))["live"]
    assert (await office.ask("GET", "/api/calls/CA00001")).status_code == 503
    assert (await office.ask("POST", f"/api/calls/{SID}/hangup")).status_code == 202


async def test_a_call_is_found_by_what_its_service_calls_the_conversation(office: Bureau) -> None:
    office.store.write(kept(1, conversation_id="0190-past"))
    call = begun(office)
    call.frame(messages.encode(messages.KnownAs("0190-live")))
    assert (await office.told("GET", "/api/calls/0190-live"))["sid"] == SID
    assert (await office.told("GET", "/api/calls/0190-past"))["sid"] == "CA00001"
    assert (await office.ask("POST", "/api/calls/0190-live/hangup")).status_code == 202
    assert call.flow.plan is Plan.HANG_UP


async def test_a_call_is_whole_with_what_only_the_database_knows(office: Bureau) -> None:
    call = begun(office)
    call.frame(messages.encode(messages.Said("agent", "Hello", 20.0, 3.5)))
    call.frame(messages.encode(messages.ToolRan("book", "{}", "ok", "booked", 0.25, 1200.0)))
    whole = await office.told("GET", f"/api/calls/{SID}")
    assert whole["lines"] == [
        {"role": "agent", "text": "Hello", "at_ms": 20.0, "reply_ms": 3.5, "interrupted": False}
    ]
    assert [(it["name"], it["outcome"]) for it in whole["tools"]] == [("book", "ok")]


@pytest.mark.parametrize("sid", ["CA%00", "..%2f..", "CA" + "1" * 200, "%F0%9F%91%8B"])
async def test_what_cannot_be_a_call_is_not_found(office: Bureau, sid: str) -> None:
    for path in (f"/api/calls/{sid}", f"/api/calls/{sid}/transcript"):
        assert (await office.ask("GET", path)).status_code == 404
    assert (await office.ask("POST", f"/api/calls/{sid}/hangup")).status_code == 404


async def test_an_order_reaches_the_call_and_a_second_end_comes_too_late(office: Bureau) -> None:
    call = begun(office)
    stage = office.farm.workers[0]
    say = {"text": "Your taxi is here.", "interruptible": False}
    assert (await office.ask("POST", f"/api/calls/{SID}/say", body=say)).status_code == 202
    assert stage.heard[-1] == messages.OperatorSays("Your taxi is here.", interruptible=False)
    told = await office.told("POST", f"/api/calls/{SID}/transfer", body={"to": "kitchen"})
    assert told == {"sid": SID, "state": "leaving"}
    assert (call.flow.plan, call.flow.target) == (Plan.DIAL, "+15005550002")
    answer = await office.ask("POST", f"/api/calls/{SID}/digits", body={"digits": "1"})
    assert (answer.status_code, answer.json()["detail"]) == (
        409,
        "The call is already going to dial.",
    )


async def test_a_transfer_to_nobody_names_those_that_there_are(office: Bureau) -> None:
    begun(office)
    answer = await office.ask("POST", f"/api/calls/{SID}/transfer", body={"to": "cellar"})
    assert answer.status_code == 422
    assert "named destinations: default, kitchen" in answer.json()["detail"]


async def test_a_warm_transfer_is_refused_with_what_is_wrong_and_with_what_is_missing(
    office: Bureau,
) -> None:
    call = begun(office)
    path = f"/api/calls/{SID}/transfer"
    for body, status, words in (
        ({"to": "kitchen", "warm": True}, 422, "the summary is what the human is told"),
        ({"to": "cellar", "warm": True, "summary": "Ada."}, 422, "named destinations"),
        ({"to": "kitchen", "summary": "Ada."}, 422, "set warm to true"),
        ({"to": "kitchen", "ring_seconds": 20}, 422, "set warm to true"),
        ({"to": "kitchen", "warm": True, "summary": "Ada."}, 409, "places no calls"),
        (
            {"to": "kitchen", "warm": True, "summary": "Ada.", "ring_seconds": 1},
            400,
            "ring_seconds",
        ),
    ):
        answer = await office.ask("POST", path, body=body)
        assert answer.status_code == status, answer.text
        assert words in answer.text
    assert call.flow.plan is Plan.RECONNECT


async def test_a_transfer_to_a_costly_number_is_refused_whatever_route_is_taken(
    office: Bureau,
) -> None:
    call = begun(office)
    answer = await office.ask("POST", f"/api/calls/{SID}/transfer", body={"to": "+19005551234"})
    assert (answer.status_code, "premium" in answer.json()["detail"]) == (422, True)
    body = {"ultravoxCallId": SID, "destinationNumber": "+19005551234"}
    answer = await office.ask("POST", "/api/transfer", body=body)
    assert (answer.status_code, "premium" in answer.json()["message"]) == (400, True)
    assert call.flow.plan is Plan.RECONNECT


async def test_a_call_whose_process_is_gone_has_nobody_to_say_it(office: Bureau) -> None:
    call = begun(office)
    office.farm.workers[0].exit(code=1)
    answer = await office.ask("POST", f"/api/calls/{SID}/say", body={"text": "Hello"})
    assert (answer.status_code, call.flow.state) == (409, CallState.LEAVING)


async def test_a_call_at_a_service_takes_no_words_and_no_keys(office: Bureau) -> None:
    office.farm.direct = True
    call = begun(office)
    call.frame(messages.encode(messages.Join("wss://voice.example/1", "ultravox", stays=True)))
    assert call.is_elsewhere
    for what, body in (("say", {"text": "Hello"}), ("digits", {"digits": "1"})):
        answer = await office.ask("POST", f"/api/calls/{SID}/{what}", body=body)
        assert answer.status_code == 409
    call.end("done")


async def test_a_companys_calls_in_progress_are_its_own_to_see_and_to_end(office: Bureau) -> None:
    begun(office)
    await office.store.flush()
    ours, theirs = [await office.token("read", "calls", company=company) for company in (7, 8)]
    office.store.write(Upsert("calls", {"sid": SID, "company_id": 7}))
    for token, found in ((ours, [SID]), (theirs, [])):
        listed = await office.told("GET", "/api/calls?live=true", token)
        assert [it["sid"] for it in listed["calls"]] == found
        active = await office.told("GET", "/active-calls", token)
        assert [it["twilioCallSid"] for it in active] == found
    for path in ("/hangup", "/say", "/transcript"):
        verb, body = ("GET", None) if path == "/transcript" else ("POST", {"text": "Hello"})
        answer = await office.ask(verb, f"/api/calls/{SID}{path}", theirs, body)
        assert answer.status_code == 404
    transfer = await office.ask("POST", "/transferCall", theirs, {"callId": SID})
    assert (transfer.status_code, transfer.json()["error"]) == (
        500,
        "Call not found or invalid CallSid",
    )
    assert (await office.ask("POST", f"/api/calls/{SID}/hangup", ours)).status_code == 202
