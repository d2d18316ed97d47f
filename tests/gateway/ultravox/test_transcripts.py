"""Transcripts of calls whose process has left, from Ultravox into the record."""

import asyncio
import ipaddress
import time
import uuid
from pathlib import Path

import pytest
from sqlalchemy import select

from gateway.calls.state import CallState
from gateway.calls.transcript import Line
from gateway.outbox import reports
from gateway.store.company import CompanyChange
from gateway.store.recorder import StoreRecords, mark_lost
from gateway.store.retention import prune
from gateway.store.store import Store
from gateway.store.tables import deliveries
from gateway.ultravox import transcripts
from gateway.ultravox.conversation import Conversation
from gateway.ultravox.ledger import Ledger, is_ultravox
from gateway.ultravox.transcripts import TranscriptRules, is_direct
from shared import messages
from tests.fakes.n8n import N8nFake
from tests.fakes.ultravox import UltravoxFake
from tests.fakes.ultravox_faults import Refusal
from tests.gateway.calls.actors import SID, incoming
from tests.gateway.outbox.test_outbox import at
from tests.gateway.store.conftest import dies
from tests.gateway.ultravox.conftest import ON_BOTH
from tests.gateway.ultravox.scene import QUICK, SAID, Scene, held, scene
from tests.harness import eventually


@ON_BOTH
async def test_a_call_that_was_held_elsewhere_has_its_transcript_with_its_end(
    store: Store,
) -> None:
    async with N8nFake() as n8n, scene(store, at(n8n)) as it:
        there = held(it.fake)
        there.say("TOOL_CALL", "{}", invocationId="1", toolName="hangUp")
        there.say("TOOL_RESULT", "OK", invocationId="1", toolName="hangUp")
        it.begin(there.id)
        it.ends()
        await eventually(lambda: n8n.bodies("call.ended"))
        told = n8n.bodies("call.ended")[0]
        assert [(line["role"], line["text"]) for line in told["data"]["transcript"]] == SAID
        assert [tool["name"] for tool in told["data"]["tools"]] == ["hangUp"]
        assert "transcript_follows" not in told["data"]
        assert told["call"]["conversation_id"] == there.id
        assert await it.lines() == SAID
        assert await it.tools() == [("hangUp", "ok")]
        assert not n8n.bodies("call.transcript")


async def test_all_pages_of_all_stages_are_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcripts, "PAGE", 3)
    async with scene(store) as it:
        there = held(it.fake, over=False)
        for number in range(6):
            there.say("USER", f"{number}")
        there.stages.append({"id": "second"})
        there.say("USER", "last")
        there.end("hangup")
        it.begin(there.id)
        it.ends()
        await eventually(it.lines)
        texts = [text for _, text in await it.lines()]
        assert texts == ["Hello.", "A table.", *map(str, range(6)), "last"]
        assert it.reads() == [there.id, "messages", "messages", "messages"]


async def test_a_call_that_goes_on_there_is_waited_for(store: Store) -> None:
    async with scene(store) as it:
        there = held(it.fake, over=False)
        it.begin(there.id)
        it.ends()
        await eventually(lambda: len(it.reads()) > 2)
        assert set(it.reads()) == {there.id}
        there.say("USER", "Bye.")
        there.end("hangup")
        await eventually(it.lines)
        assert (await it.lines())[-1] == ("caller", "Bye.")


async def test_a_webhook_that_says_so_saves_the_waiting(store: Store) -> None:
    patient = TranscriptRules(first=60.0)
    async with scene(store, rules=patient) as it:
        there = held(it.fake, over=False)
        it.begin(there.id)
        it.ends()
        await eventually(it.reads)
        there.end("hangup")
        assert it.transcripts.ended(there.id)
        await eventually(it.lines)
        *asked, read = it.reads()
        assert (set(asked), read) == ({there.id}, "messages")
        assert len(asked) <= 2  # the second, if its end came while it was being asked about


async def test_a_webhook_before_the_carrier_says_so_is_remembered(store: Store) -> None:
    async with scene(store) as it:
        there = held(it.fake)
        it.begin(there.id)
        assert it.transcripts.ended(there.id)
        await asyncio.sleep(0.1)
        assert it.reads() == []
        it.ends()
        await eventually(it.lines)
        assert it.reads() == ["messages"]


async def test_a_webhook_told_again_changes_nothing(store: Store) -> None:
    async with N8nFake() as n8n, scene(store, at(n8n)) as it:
        there = held(it.fake)
        it.begin(there.id)
        it.ends()
        await eventually(lambda: n8n.bodies("call.ended"))
        there.say("USER", "invented later")
        for _ in range(3):
            assert it.transcripts.ended(there.id)
        assert it.transcripts.ended(str(uuid.uuid4()))
        assert it.transcripts.ended("'; drop table calls")
        await asyncio.sleep(0.2)
        assert await it.lines() == SAID
        assert it.reads().count("messages") == 1
        assert [body["event"] for body in n8n.bodies()] == ["call.started", "call.ended"]


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_service_that_is_busy_is_asked_again(store: Store, status: int) -> None:
    async with scene(store) as it:
        it.fake.next_reads += [Refusal(status), None, Refusal(status)]
        there = held(it.fake)
        it.begin(there.id)
        it.ends()
        await eventually(it.lines)
        assert await it.lines() == SAID


async def test_a_service_that_refuses_is_not_asked_again_and_the_end_is_told(
    store: Store,
) -> None:
    async with N8nFake() as n8n, scene(store, at(n8n)) as it:
        it.begin(str(uuid.uuid4()))
        it.ends()
        await eventually(lambda: n8n.bodies("call.ended"))
        assert n8n.bodies("call.ended")[0]["data"]["transcript"] == []
        assert len(it.reads()) == 1
        assert await it.transcripts.settle(0)


async def test_nonsense_is_given_up_in_time_and_hurts_nobody(store: Store) -> None:
    rules = TranscriptRules(first=0.02, longest=0.05, patience=0.3)
    async with scene(store, rules=rules) as it:
        it.fake.next_reads += [Refusal(200, body=body) for body in ("[]", "{", "7") * 20]
        it.begin(held(it.fake).id)
        it.ends()
        await eventually(lambda: len(it.reads()) > 3)
        await eventually(lambda: it.transcripts.settle(0))
        assert await it.lines() == []


async def test_one_that_never_ends_there_is_told_as_far_as_it_is_known(store: Store) -> None:
    rules = TranscriptRules(first=0.02, longest=0.05, patience=0.2)
    async with scene(store, rules=rules) as it:
        it.begin(held(it.fake, over=False).id)
        it.ends()
        await eventually(it.lines)
        assert await it.lines() == SAID


async def test_a_conversation_without_a_word_is_doubted_for_a_moment(store: Store) -> None:
    async with scene(store) as it:
        there = held(it.fake)
        there.messages, said = [], there.messages
        it.begin(there.id)
        it.ends()
        await eventually(lambda: "messages" in it.reads())
        there.messages += said
        await eventually(it.lines)
        assert await it.lines() == SAID


async def test_one_in_which_nobody_spoke_is_left_at_that(store: Store) -> None:
    async with N8nFake() as n8n, scene(store, at(n8n)) as it:
        there = held(it.fake)
        there.messages = []
        it.begin(there.id)
        it.ends()
        await eventually(lambda: n8n.bodies("call.ended"))
        assert it.reads() == [there.id, *["messages"] * 4]


async def test_what_comes_late_is_an_event_of_its_own(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "OWED_SECONDS", 0.1)
    async with N8nFake() as n8n, scene(store, at(n8n)) as it:
        there = held(it.fake, over=False)
        it.begin(there.id)
        it.ends()
        await eventually(lambda: n8n.bodies("call.ended"))
        ended = n8n.bodies("call.ended")[0]["data"]
        assert (ended["transcript"], ended["transcript_follows"]) == ([], True)
        there.end("hangup")
        await eventually(lambda: n8n.bodies("call.transcript"))
        told = n8n.bodies("call.transcript")[0]
        assert told["call"]["sid"] == SID
        assert [(line["role"], line["text"]) for line in told["data"]["transcript"]] == SAID


async def test_without_a_key_the_end_is_told_at_once(store: Store) -> None:
    async with N8nFake() as n8n, scene(store, at(n8n), key=None) as it:
        it.begin(held(it.fake).id)
        it.ends()
        await eventually(lambda: n8n.bodies("call.ended"), 3)
        assert "transcript_follows" not in n8n.bodies("call.ended")[0]["data"]
        assert it.reads() == []


async def test_what_the_process_has_written_down_is_not_asked_for(store: Store) -> None:
    async with N8nFake() as n8n, scene(store, at(n8n)) as it:
        worker = it.begin(held(it.fake).id, stays=True)
        it.ends()
        it.says(messages.Said("agent", "By the process.", 1.0))
        worker.exit(0)
        await eventually(lambda: n8n.bodies("call.ended"))
        assert await it.lines() == [("agent", "By the process.")]
        assert it.reads() == []


async def test_a_process_that_died_leaves_its_tools_and_ultravox_tells_the_rest(
    store: Store,
) -> None:
    async with scene(store) as it:
        there = held(it.fake)
        there.say("TOOL_CALL", "{}", invocationId="1", toolName="book")
        worker = it.begin(there.id, stays=True)
        it.says(messages.ToolRan("book", "{}", "ok", "booked", 0.1, 900.0))
        worker.exit(None, 9)
        it.ends()
        await eventually(it.lines)
        assert await it.lines() == SAID
        assert await it.tools() == [("book", "ok")]


@pytest.mark.parametrize("is_theirs", [True, False])
async def test_a_companys_call_is_asked_about_with_its_own_key_and_then_with_ours(
    store: Store, is_theirs: bool
) -> None:
    theirs = UltravoxFake("uv_theirs")
    loopback = (ipaddress.ip_network("127.0.0.0/8"),)
    async with theirs, scene(store, allowed=loopback) as it:
        change = CompanyChange(
            name="Acme", speech_key="uv_theirs", speech_url=f"{theirs.url}/api/calls"
        )
        company = await it.companies.create(change)
        it.transcripts._company_of = lambda call: company.id
        it.begin(held(theirs if is_theirs else it.fake).id)
        it.ends()
        await eventually(it.lines)
        assert await it.lines() == SAID
        assert len(theirs.requests) == (2 if is_theirs else 1)
        assert len(it.reads()) == (0 if is_theirs else 2)


async def test_a_companys_address_that_is_private_is_not_asked(store: Store) -> None:
    theirs = UltravoxFake("uv_theirs")
    async with theirs, scene(store) as it:
        change = CompanyChange(name="Acme", speech_key="uv_theirs", speech_url=theirs.url)
        company = await it.companies.create(change)
        it.transcripts._company_of = lambda call: company.id
        it.begin(held(theirs).id)
        it.ends()
        await eventually(lambda: it.transcripts.settle(0))
        assert theirs.requests == []
        assert len(it.reads()) == 1


# Another life ------------------------------------------------------------------------------------


async def _left(store: Store, conversation: str) -> None:
    """Leave a call behind whose gateway has died."""
    record = StoreRecords(store).of(incoming(), known=False)
    record.begun("r1", direct=True)
    record.known_as(conversation)
    record.state(CallState.ELSEWHERE)
    await store.flush()
    await mark_lost(store, 1e12)


@ON_BOTH
async def test_calls_of_an_earlier_life_are_looked_up(store: Store) -> None:
    async with UltravoxFake() as before:
        there = held(before)
        await _left(store, there.id)
    async with N8nFake() as n8n, scene(store, at(n8n)) as it:
        it.fake.sessions.append(there)
        await eventually(it.lines)
        assert await it.lines() == SAID
        await asyncio.sleep(0.05)
        assert not n8n.bodies("call.transcript")
    async with scene(store) as it:
        await asyncio.sleep(0.2)
        assert it.reads() == []


@ON_BOTH
async def test_a_gateway_that_dies_before_the_transcript_came_leaves_it_to_the_next(
    store: Store,
) -> None:
    async with N8nFake() as n8n:
        async with scene(store, at(n8n), run=False) as it:
            there = held(it.fake)
            it.begin(there.id)
            it.ends()
            await store.flush()
            await asyncio.sleep(0.1)
            assert not n8n.bodies("call.ended")
        after = UltravoxFake()
        after.sessions.append(there)
        async with scene(store, at(n8n), fake=after):
            await eventually(lambda: n8n.bodies("call.transcript") and n8n.bodies("call.ended"))
        (ended,) = n8n.bodies("call.ended")
        assert (ended["data"]["transcript"], ended["data"]["transcript_follows"]) == ([], True)
        (told,) = n8n.bodies("call.transcript")
        assert [(line["role"], line["text"]) for line in told["data"]["transcript"]] == SAID


@ON_BOTH
async def test_whose_end_was_told_before_is_told_of_once_more(store: Store) -> None:
    async with N8nFake() as n8n, scene(store, at(n8n), run=False) as it:
        there = held(it.fake)
        await _left(store, there.id)
        whole = await it.ledger._book.call(SID)
        assert whole is not None
        it.outbox.post(reports.lost(whole))
        await eventually(lambda: n8n.bodies("call.ended"))
        await _run_for(it, there.id)
        await eventually(lambda: n8n.bodies("call.transcript"))
        told = n8n.bodies("call.transcript")[0]["data"]
        assert [(line["role"], line["text"]) for line in told["transcript"]] == SAID
        await store.flush()
        rows = await store.rows(select(deliveries.c.event))
        assert sorted(row["event"] for row in rows) == ["call.ended", "call.transcript"]


@ON_BOTH
async def test_what_is_fetched_of_a_call_that_was_pruned_meanwhile_is_not_kept(
    store: Store, tmp_path: Path
) -> None:
    async with N8nFake() as n8n, scene(store, at(n8n), run=False) as it:
        there = held(it.fake)
        await _left(store, there.id)
        owed = await it.ledger.find(there.id)
        assert owed is not None
        await prune(store, time.time() + 1, tmp_path)
        said = Conversation((Line("caller", "My number is secret.", 0.0, None, interrupted=False),))
        assert await it.ledger.write(owed, said) is None
        assert await it.lines() == []


async def test_one_question_that_fails_does_not_take_the_others_with_it(store: Store) -> None:
    async with N8nFake() as n8n, scene(store, at(n8n)) as it:
        there = held(it.fake, over=False)
        it.begin(there.id)
        it.ends()
        await eventually(it.reads)

        async def broken(conversation_id: str) -> None:
            raise RuntimeError(conversation_id)

        it.ledger.find = broken  # type: ignore[method-assign]
        it.transcripts.ended(str(uuid.uuid4()))
        await asyncio.sleep(0.1)
        there.end("hangup")
        await eventually(it.lines)
        assert await it.lines() == SAID
        await eventually(lambda: n8n.bodies("call.ended"))
        (ended,) = n8n.bodies("call.ended")
        assert len(ended["data"]["transcript"]) == len(SAID)


async def _run_for(it: Scene, conversation: str) -> None:
    it.transcripts._began = time.time() + 10
    task = asyncio.create_task(it.transcripts.run(it.calls.live))
    await eventually(it.lines)
    it.transcripts.ended(conversation)
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.wait([task])


@ON_BOTH
async def test_a_call_whose_audio_came_through_here_is_left_as_it_was_heard(
    store: Store,
) -> None:
    async with scene(store, run=False) as it:
        there = held(it.fake, medium="serverWebSocket")
        await _left(store, there.id)
        it.transcripts._began = time.time() + 10
        task = asyncio.create_task(it.transcripts.run(it.calls.live))
        await eventually(it.reads)
        await eventually(lambda: it.transcripts.settle(0))
        await asyncio.sleep(0.1)
        assert await it.lines() == []
        assert it.reads() == [there.id]
        task.cancel()
        await asyncio.wait([task])


@ON_BOTH
async def test_calls_of_other_services_and_those_in_progress_are_not_asked_about(
    store: Store,
) -> None:
    await _left(store, "conv_0123")
    ledger = Ledger(store)
    assert await ledger.owed(0.0, 1e12, []) == []
    await _left(store, str(uuid.uuid4()))
    assert len(await ledger.owed(0.0, 1e12, [])) == 1
    assert await ledger.owed(0.0, 1e12, [SID]) == []
    assert await ledger.owed(0.0, 1.0, []) == []


@ON_BOTH
async def test_of_a_call_at_another_gateway_that_one_asks_as_long_as_it_is_there(
    pair: tuple[Store, Store],
) -> None:
    a, b = pair
    there = str(uuid.uuid4())
    await _left(a, there)
    for store, asks in ((a, True), (b, False)):
        ledger = Ledger(store)
        assert bool(await ledger.owed(0.0, 1e12, [])) is asks
        assert bool(await ledger.find(there)) is asks
    await dies(a)
    assert await Ledger(b).find(there)


def test_an_id_of_ultravox_is_a_uuid() -> None:
    assert is_ultravox("0190a8f2-0000-7000-8000-000000000001")
    for other in ("conv_1", "", "sess_x", "0190a8f2000070008000000000000001", "{" + "0" * 32 + "}"):
        assert not is_ultravox(other)


def test_whose_medium_is_not_known_may_be_direct() -> None:
    assert is_direct({})
    assert is_direct({"medium": {"twilio": {}}})
    assert is_direct({"medium": 7})
    assert not is_direct({"medium": {"serverWebSocket": {}}})


async def test_too_many_are_refused_and_their_ends_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcripts, "MOST_JOBS", 0)
    async with N8nFake() as n8n, scene(store, at(n8n), rules=QUICK) as it:
        it.begin(held(it.fake).id)
        it.ends()
        await eventually(lambda: n8n.bodies("call.ended"))
        assert it.reads() == []
