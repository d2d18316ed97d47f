import asyncio
from dataclasses import replace

import msgpack
import pytest

from gateway.calls import registry
from gateway.calls.answers import Apologise, Busy, Connect, Dial, HangUp, Unanswered
from gateway.calls.deadlines import NEXT_SECONDS
from gateway.calls.registry import MEMORY_SECONDS, MOST_REMEMBERED, WATCH_SECONDS, Calls
from gateway.calls.state import CallState, Plan
from gateway.calls.stream import CallStream
from gateway.media.listener import StreamStart
from shared import messages
from tests.gateway.calls.actors import FALLBACK, RULES, SID, FakeFarm, Socket, incoming, office
from tests.virtual_time import settled, virtual_time


def _sid(number: int) -> str:
    return f"CA{number:032x}"


def _open(calls: Calls, sid: str = SID) -> Socket:
    call = calls.get(sid)
    assert call is not None
    stream, socket = CallStream(call), Socket()
    stream.stream_started(socket, StreamStart("MZ1", {}))
    return socket


def _end(calls: Calls, farm: FakeFarm, sid: str = SID) -> None:
    call = calls.get(sid)
    assert call is not None
    call.end("done")
    farm.workers[-1].exit()


# Admission -----------------------------------------------------------------------------------


@virtual_time
async def test_an_accepted_call_has_a_process_at_once_and_a_token_of_its_own() -> None:
    calls, farm = office()
    answer = calls.incoming(incoming())
    assert isinstance(answer, Connect)
    bound = calls.tokens.peek(answer.token)
    assert bound is not None
    assert bound.call_sid == SID
    assert (len(calls), calls.accepted, len(farm.workers)) == (1, 1, 1)
    farm.close()


@virtual_time
async def test_a_second_webhook_for_a_call_makes_no_second_call() -> None:
    calls, farm = office(most_calls=1)
    first, second = calls.incoming(incoming()), calls.incoming(incoming())
    assert first == second
    assert (len(calls), calls.accepted, len(farm.workers), len(calls.tokens)) == (1, 1, 1, 1)
    farm.close()


@virtual_time
async def test_calls_beyond_the_limit_are_told_so_and_room_is_made_by_an_end() -> None:
    calls, farm = office(most_calls=2)
    for number in (1, 2):
        calls.incoming(incoming(sid=_sid(number)))
    assert calls.incoming(incoming(sid=_sid(3))) == Busy(FALLBACK)
    assert calls.refused == 1
    _end(calls, farm, _sid(2))
    assert isinstance(calls.incoming(incoming(sid=_sid(3))), Connect)
    farm.close()


@virtual_time
async def test_while_draining_new_calls_are_told_so_and_old_ones_go_on() -> None:
    calls, farm = office()
    calls.incoming(incoming())
    calls.draining = True
    assert calls.incoming(incoming(sid=_sid(2))) == Busy(FALLBACK)
    assert isinstance(calls.incoming(incoming()), Connect)
    _open(calls)
    assert isinstance(calls.next(incoming(), None), Connect)
    farm.close()


@virtual_time
async def test_without_a_release_the_caller_gets_an_apology_and_nothing_is_left_behind() -> None:
    calls, farm = office()
    farm.ready = False
    assert calls.incoming(incoming()) == Apologise(FALLBACK)
    assert (len(calls), len(calls.tokens), calls.refused) == (0, 0, 1)
    farm.ready = True
    assert isinstance(calls.incoming(incoming()), Connect)
    farm.close()


# How a call goes on --------------------------------------------------------------------------


@virtual_time
async def test_a_call_of_another_life_is_taken_up_afresh() -> None:
    calls, farm = office()
    assert isinstance(calls.next(incoming(), None), Connect)
    assert len(calls) == 1
    farm.close()


@virtual_time
async def test_an_unknown_call_whose_dial_has_ended_ends_as_the_dial_did() -> None:
    calls, farm = office()
    assert calls.next(incoming(), True) == HangUp()
    assert calls.next(incoming(), False) == Unanswered()
    assert farm.workers == []


@virtual_time
async def test_a_call_that_is_over_is_hung_up_and_not_begun_again() -> None:
    calls, farm = office()
    calls.incoming(incoming())
    _end(calls, farm)
    assert calls.next(incoming(), None) == HangUp()
    assert (len(calls), len(farm.workers)) == (0, 1)


@virtual_time
async def test_a_voice_webhook_repeated_after_the_end_makes_no_second_call() -> None:
    calls, farm = office()
    calls.incoming(incoming())
    _end(calls, farm)
    assert calls.incoming(incoming()) == HangUp()
    assert (len(calls), len(farm.workers)) == (0, 1)


@virtual_time
async def test_a_final_answer_is_given_again_to_a_carrier_that_lost_it() -> None:
    calls, farm = office()
    calls.incoming(incoming())
    _open(calls)
    farm.workers[0].exit(1)
    assert calls.next(incoming(), None) == Apologise(FALLBACK)
    assert len(calls) == 0
    assert calls.next(incoming(), None) == Apologise(FALLBACK)


@virtual_time
async def test_a_transfer_ends_with_how_the_dial_ended() -> None:
    calls, farm = office()
    calls.incoming(incoming())
    _open(calls)
    call = calls.get(SID)
    assert call is not None
    assert call.leave(Plan.DIAL, "transferred", "+1")
    assert calls.next(incoming(), None) == Dial("+1")
    farm.workers[0].exit()
    # The carrier has the call now: it neither counts nor holds up a drain.
    assert len(calls) == 0
    assert calls.next(incoming(), None) == Dial("+1")
    assert calls.next(incoming(), False) == Unanswered()
    assert calls.next(incoming(), False) == Unanswered()


@virtual_time
async def test_a_caller_alone_with_music_is_known_by_having_been_handed_over_in_a_room() -> None:
    calls, farm = office()
    assert not calls.is_handed_over(SID)
    calls.incoming(incoming())
    _open(calls)
    call = calls.get(SID)
    assert call is not None
    assert call.leave(Plan.HOLD, "a human is asked")
    call.flow.machine.move(CallState.HELD)
    assert not calls.is_handed_over(SID)
    call.holding.hand_over("room-1", "+1")
    assert calls.is_handed_over(SID)
    farm.workers[0].exit()
    assert len(calls) == 0
    assert calls.is_handed_over(SID)
    assert calls.next(incoming(), False) == Unanswered()
    assert not calls.is_handed_over(SID)
    past = calls.find(SID)
    assert past is not None
    assert past.reason == "transfer not answered"


# What is remembered --------------------------------------------------------------------------


@virtual_time
async def test_a_call_is_shown_while_it_lives_and_after_it_ended() -> None:
    calls, farm = office()
    calls.incoming(incoming())
    live = calls.find(SID)
    assert live is not None
    assert (live.state, live.pid, live.release) == ("ringing", 4711, "r1")
    _end(calls, farm)
    past = calls.find(SID)
    assert past is not None
    assert (past.state, past.reason, past.exit) == ("ended", "done", "exit code 0")
    assert calls.get(SID) is None
    assert calls.find(_sid(9)) is None


@virtual_time
async def test_the_end_of_a_call_takes_its_tokens_with_it() -> None:
    calls, farm = office()
    answer = calls.incoming(incoming())
    assert isinstance(answer, Connect)
    _end(calls, farm)
    assert calls.tokens.peek(answer.token) is None


@virtual_time
async def test_only_the_newest_ended_calls_are_remembered() -> None:
    calls, farm = office()
    for number in range(MOST_REMEMBERED + 5):
        calls.incoming(incoming(sid=_sid(number)))
        _end(calls, farm, _sid(number))
    views = calls.views()
    assert len(views) == MOST_REMEMBERED
    assert views[0].sid == _sid(MOST_REMEMBERED + 4)
    assert calls.find(_sid(4)) is None


@virtual_time
async def test_what_agents_say_and_keep_does_not_fill_the_memory_of_ended_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "MOST_REMEMBERED_BYTES", 100_000)
    calls, farm = office()
    for number in range(10):
        calls.incoming(incoming(sid=_sid(number)))
        call = calls.get(_sid(number))
        assert call is not None
        call.frame(messages.encode(messages.Said("agent", "x" * 4000, 0.0)))
        call.frame(messages.encode(messages.Checkpoint(msgpack.packb({"x": "y" * 400}))))
        _end(calls, farm, _sid(number))
    assert [view.sid for view in calls.views()] == [_sid(9), _sid(8), _sid(7), _sid(6)]


@virtual_time
async def test_the_turns_of_ended_calls_count_as_what_is_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "MOST_REMEMBERED_BYTES", 100_000)
    calls, farm = office()
    for number in range(3):
        calls.incoming(incoming(sid=_sid(number)))
        call = calls.get(_sid(number))
        assert call is not None
        for turn in range(60):
            call.frame(messages.encode(messages.TurnTimed(turn, {"stt_final": 1.0})))
        _end(calls, farm, _sid(number))
    assert [view.sid for view in calls.views()] == [_sid(2), _sid(1)]


@virtual_time
async def test_calls_in_progress_come_before_those_remembered() -> None:
    calls, farm = office()
    calls.incoming(incoming(sid=_sid(1)))
    _end(calls, farm, _sid(1))
    calls.incoming(incoming(sid=_sid(2)))
    assert [view.sid for view in calls.views()] == [_sid(2), _sid(1)]
    assert calls.streaming == 0
    _open(calls, _sid(2))
    assert calls.streaming == 1
    farm.close()


# Watching ------------------------------------------------------------------------------------


@virtual_time
async def test_a_process_that_hangs_is_looked_into_and_killed_and_its_caller_apologised_to() -> (
    None
):
    calls, farm = office()
    calls.incoming(incoming())
    _open(calls)
    watching = asyncio.ensure_future(calls.watch())
    await asyncio.sleep(RULES.hang_seconds / 3 + 2 * WATCH_SECONDS)
    assert (farm.workers[0].dumps, farm.workers[0].signals) == (1, [])
    await asyncio.sleep(RULES.hang_seconds)
    assert farm.workers[0].signals[0] == 9
    farm.workers[0].exit(None, 9)
    assert calls.next(incoming(), None) == Apologise(FALLBACK)
    assert farm.strays > 0
    watching.cancel()


async def test_a_process_that_outgrows_its_memory_is_killed_and_others_are_not() -> None:
    calls, farm = office(memory=100 << 20)
    for number in (1, 2):
        calls.incoming(incoming(sid=_sid(number)))
    farm.workers[0].private, farm.workers[1].private = 101 << 20, 99 << 20
    await calls._weigh()
    assert [worker.signals for worker in farm.workers] == [[9], []]
    assert [worker.weighed for worker in farm.workers] == [1, 1]
    assert MEMORY_SECONDS >= WATCH_SECONDS
    for number in (1, 2):
        call = calls.get(_sid(number))
        assert call is not None
        call.end("done")
    farm.close()


@virtual_time
async def test_a_process_that_is_small_as_a_whole_is_not_weighed_page_by_page() -> None:
    calls, farm = office(memory=256 << 20)
    calls.incoming(incoming(sid=_sid(1)))
    call = calls.get(_sid(1))
    assert call is not None
    farm.workers[0].private = 100 << 20
    await calls._weigh()
    assert (farm.workers[0].weighed, farm.workers[0].signals) == (0, [])
    call.end("done")
    farm.close()


# The end -------------------------------------------------------------------------------------


@virtual_time
async def test_a_drain_returns_when_the_last_call_has_ended() -> None:
    calls, farm = office()
    calls.incoming(incoming())
    draining = asyncio.ensure_future(calls.drain(3600))
    await asyncio.sleep(10)
    assert not draining.done()
    _end(calls, farm)
    await draining


@virtual_time
async def test_a_drain_without_calls_returns_at_once_and_one_with_calls_in_its_time() -> None:
    calls, farm = office(rules=replace(RULES, stream_seconds=100.0))
    loop = asyncio.get_running_loop()
    began = loop.time()
    await calls.drain(30)
    assert loop.time() == began
    calls.draining = False
    calls.incoming(incoming())
    await calls.drain(30)
    assert loop.time() - began == pytest.approx(30)
    farm.close()


@virtual_time
async def test_hanging_all_up_closes_every_stream_and_tells_every_carrier() -> None:
    calls, farm = office()
    sockets, legs = [], []
    for number in (1, 2, 3):
        it = incoming(sid=_sid(number))
        legs.append(it.leg)
        calls.incoming(it)
        sockets.append(_open(calls, _sid(number)))
    ending = asyncio.ensure_future(calls.hang_up_all("the server stops", 60))
    await settled()
    assert all(socket.closed for socket in sockets)
    await asyncio.sleep(NEXT_SECONDS + 0.5)
    assert all(leg.enforced == [HangUp()] for leg in legs)  # type: ignore[attr-defined]
    for worker in farm.workers:
        assert isinstance(worker.heard[-1], messages.CallEnded)
        worker.exit()
    await ending
    assert len(calls) == 0


@virtual_time
async def test_a_call_that_cannot_be_hung_up_in_time_is_over_all_the_same() -> None:
    calls, farm = office()
    calls.incoming(incoming())
    await calls.hang_up_all("the server stops", 5)
    view = calls.find(SID)
    assert view is not None
    assert view.reason == "the server stops"
    farm.close()
