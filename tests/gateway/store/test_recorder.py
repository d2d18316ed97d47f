"""What a call tells is in the database, under a word for how it ended."""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import select

from gateway.calls.answers import IncomingCall, PlacedFor
from gateway.calls.record import Record
from gateway.calls.state import CallState, Plan
from gateway.calls.transcript import Line
from gateway.calls.turns import Trouble, TurnLog
from gateway.farm.process import ExitReport
from gateway.store.call_rows import WholeCall
from gateway.store.recorder import MOST_STATE_BYTES, StoreRecords, mark_lost
from gateway.store.records import CallBook
from gateway.store.store import Store
from gateway.store.tables import calls, recordings
from shared import messages
from tests.gateway.calls import actors

SID = "CA" + "1" * 32


def incoming() -> IncomingCall:
    return actors.incoming(sid=SID)


async def whole(store: Store) -> WholeCall:
    assert await store.flush(60)
    found = await CallBook(store).call(SID)
    assert found is not None
    return found


async def test_all_that_a_call_tells_is_kept(store: Store) -> None:
    record = StoreRecords(store).of(incoming(), known=False)
    record.begun("r1", direct=False)
    record.running("Receptionist")
    record.known_as("conversation-7")
    record.event(messages.AnsweredBy("human"))
    record.state(CallState.STREAMING)
    record.line(0, Line("agent", "Bella Vista.", 0.0, None, interrupted=False))
    record.line(1, Line("caller", "A table, please.", 1500.0, None, interrupted=False))
    record.line(2, Line("agent", "For how", 2100.0, 420.0, interrupted=True))
    log = TurnLog()
    log.timed(1, {"caller_stopped": 1400.0, "first_heard": 1900.0})
    record.turn(log.turn(1))
    ran = messages.ToolRan("book", '{"people": 2}', "ok", "Booked.", 0.25, 2500.0)
    record.tool(0, ran)
    record.troubles((Trouble("deepgram", "Its socket was lost.", "openai", 5.0),))
    record.agent_state({"people": 2}, 10)
    record.event(messages.RecordingChanged("RE1", "completed", "https://api.twilio.com/RE1"))
    record.ended("the caller hung up", Plan.RECONNECT, time.time())
    record.exited(ExitReport(code=0, cpu_seconds=0.5))
    it = await whole(store)
    assert (it.call.agent, it.call.release, it.call.state) == ("Receptionist", "r1", "ended")
    assert (it.call.outcome, it.call.reason) == ("completed", "the caller hung up")
    assert (it.call.from_number, it.call.to_number) == (incoming().from_, incoming().to)
    assert it.call.conversation_id == "conversation-7"
    assert it.call.answered_by == "human"
    assert it.call.answered is not None
    assert it.call.ended is not None
    assert it.call.began <= it.call.answered <= it.call.ended
    assert (it.call.exit, it.call.cpu_seconds) == ("exit code 0", 0.5)
    assert it.agent_state == {"people": 2}
    assert [trouble["provider"] for trouble in it.troubles] == ["deepgram"]
    assert [(line.role, line.text, line.interrupted) for line in it.lines] == [
        ("agent", "Bella Vista.", False),
        ("caller", "A table, please.", False),
        ("agent", "For how", True),
    ]
    assert [turn.reply_ms for turn in it.turns] == [500.0]
    assert [(tool.name, tool.outcome, tool.text) for tool in it.tool_calls] == [
        ("book", "ok", "Booked.")
    ]
    assert [(r.id, r.kind, r.status) for r in it.recordings] == [("RE1", "carrier", "completed")]


def _streams(record: Record) -> None:
    record.state(CallState.STREAMING)


def _nothing(record: Record) -> None:
    pass


def _reported(status: str) -> Callable[[Record], None]:
    return lambda record: record.event(messages.CallStatus(status))


def _dialled(record: Record) -> None:
    record.state(CallState.STREAMING)
    record.dialled("+15551112222", "transferred")


@pytest.mark.parametrize(
    ("before", "reason", "plan", "outcome"),
    [
        (_streams, "the agent hung up", Plan.HANG_UP, "completed"),
        (_streams, "call process killed by SIGKILL", Plan.APOLOGISE, "failed"),
        (_nothing, "no stream came in time", Plan.RECONNECT, "no-stream"),
        (_nothing, "completed", Plan.RECONNECT, "abandoned"),
        (_nothing, "nothing to join in time", Plan.APOLOGISE, "failed"),
        (_reported("busy"), "busy", Plan.RECONNECT, "busy"),
        (_reported("no-answer"), "no-answer", Plan.RECONNECT, "no-answer"),
        (_dialled, "transferred", Plan.DIAL, "transferred"),
        (_dialled, "transfer not answered", Plan.DIAL, "transfer-failed"),
    ],
)
async def test_how_a_call_ended_has_a_word(
    store: Store, before: Callable[[Record], None], reason: str, plan: Plan, outcome: str
) -> None:
    record = StoreRecords(store).of(incoming(), known=False)
    record.begun("r1", direct=False)
    before(record)
    record.ended(reason, plan, time.time())
    assert (await whole(store)).call.outcome == outcome


async def test_a_call_is_kept_as_whose_and_what_for_it_is(store: Store) -> None:
    records = StoreRecords(store, lambda account, number: 5 if number == incoming().to else None)
    records.of(incoming(), known=False).begun("r1", direct=False)
    assert (await whole(store)).call.company_id == 5
    placed = PlacedFor("a1", "", "", {}, 60.0, company=7, campaign="c1", lead=3)
    records.of(replace(incoming(), placed=placed), known=False).begun("r1", direct=False)
    it = (await whole(store)).call
    assert (it.company_id, it.campaign_id) == (7, "c1")


async def test_a_refused_call_is_kept_too(store: Store) -> None:
    StoreRecords(store).refused(incoming(), "draining")
    it = (await whole(store)).call
    assert (it.state, it.outcome, it.reason) == ("ended", "rejected", "draining")
    assert it.ended is not None


async def test_a_human_who_does_not_answer_is_noted_when_the_process_is_long_gone(
    store: Store,
) -> None:
    records = StoreRecords(store)
    record = records.of(incoming(), known=False)
    record.begun("r1", direct=False)
    _dialled(record)
    assert (await whole(store)).call.outcome == "transferred"
    records.dial_ended(SID, answered=False)
    it = (await whole(store)).call
    assert (it.state, it.outcome) == ("ended", "transfer-failed")


async def test_what_the_carrier_tells_late_is_kept_of_calls_that_are_known(store: Store) -> None:
    records = StoreRecords(store)
    record = records.of(incoming(), known=False)
    record.begun("r1", direct=False)
    record.ended("hung up", Plan.HANG_UP, time.time())
    await store.flush(60)
    records.event(SID, messages.CallStatus("completed"))
    records.event(SID, messages.RecordingChanged("RE1", "in-progress"))
    records.event(SID, messages.RecordingChanged("RE1", "completed", "https://twilio/RE1"))
    records.event("CA" + "2" * 32, messages.CallStatus("completed"))
    it = await whole(store)
    assert it.call.status == "completed"
    assert [(r.status, r.url) for r in it.recordings] == [("completed", "https://twilio/RE1")]
    assert len(await store.rows(select(calls))) == 1


async def test_a_recording_stays_that_of_its_call_whoever_names_it(store: Store) -> None:
    records, other = StoreRecords(store), "CA" + "2" * 32
    for at_once in (True, False):
        sid = f"RE{at_once:d}"
        records.event(SID, messages.RecordingChanged(sid, "in-progress"))
        if not at_once:
            await store.flush(60)
        records.event(other, messages.RecordingChanged(sid, "completed", "https://twilio/RE"))
        await store.flush(60)
    kept = await store.rows(select(recordings.c.call_sid, recordings.c.status))
    assert [tuple(row.values()) for row in kept] == [(SID, "completed")] * 2


async def test_what_is_said_after_the_gateways_death_comes_behind_what_was_said_before(
    store: Store,
) -> None:
    first = StoreRecords(store).of(incoming(), known=False)
    first.begun("r1", direct=False)
    first.state(CallState.STREAMING)
    first.line(0, Line("agent", "Hello.", 0.0, None, interrupted=False))
    before = await whole(store)
    assert await mark_lost(store, time.time()) == 1
    assert (await whole(store)).call.outcome == "lost"
    second = StoreRecords(store).of(incoming(), known=True)
    second.begun("r2", direct=False)
    second.line(0, Line("agent", "Hello again.", 0.0, None, interrupted=False))
    it = await whole(store)
    assert [line.text for line in it.lines] == ["Hello.", "Hello again."]
    assert (it.call.began, it.call.answered) == (before.call.began, before.call.answered)
    assert (it.call.state, it.call.outcome, it.call.ended) == ("ringing", None, None)


async def test_a_state_too_large_for_a_row_is_left_out(store: Store) -> None:
    record = StoreRecords(store).of(incoming(), known=False)
    record.begun("r1", direct=False)
    record.agent_state({"small": 1}, 10)
    record.agent_state({"large": "x"}, MOST_STATE_BYTES + 1)
    assert (await whole(store)).agent_state == {"small": 1}


async def test_whatever_an_agent_keeps_costs_no_record(store: Store) -> None:
    record = StoreRecords(store).of(incoming(), known=False)
    record.begun("r1", direct=False)
    record.agent_state({1: b"\xff", "nan": float("nan"), "nul": "a\x00", None: [set()]}, 10)
    record.running("Receptionist")
    assert (await whole(store)).call.agent == "Receptionist"
    assert not store.statistics.refused
    assert len(await store.rows(select(calls))) == 1
