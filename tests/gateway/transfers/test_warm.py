"""A warm transfer on a real call: what the process, the carrier and the human are told."""

import asyncio

import pytest

from gateway.calls.answers import Apologise, Brief, Connect, Excuse, HangUp, Hold, Meet, Unanswered
from gateway.calls.deadlines import NEXT_SECONDS
from gateway.calls.holding import LEFT_SECONDS, PAUSES
from gateway.calls.state import CallState, Plan
from gateway.calls.warm_order import TransferRefusedError
from gateway.carriers.control import CallGoneError, CarrierUnavailableError
from gateway.dialer.attempt import AttemptState
from gateway.dialer.errors import DialInDoubtError, DialRefusedError, DialUnavailableError
from gateway.transfers.warm import BRIEFING_SECONDS, CARRIER_SECONDS, JOINING_SECONDS
from shared import messages
from tests.gateway.calls.actors import FALLBACK
from tests.gateway.transfers.scene import HUMAN, NUMBER, Scene
from tests.virtual_time import settled, virtual_time

GONE = CallGoneError("redirect", HUMAN, 21220)
DOWN = CarrierUnavailableError("redirect", "Twilio failed", perhaps_done=True)


# The way there -------------------------------------------------------------------------------


@virtual_time
async def test_the_caller_is_on_hold_before_anybody_is_called() -> None:
    scene = Scene()
    await scene.ordered()
    assert scene.state() is CallState.LEAVING
    assert scene.dialer.orders == []
    hold = scene.call.answering.next()
    assert isinstance(hold, Hold)
    assert scene.call.answering.next() == hold, "a carrier that asks again is told the same"
    await settled()
    (order,) = scene.dialer.orders
    assert (order.to, order.ring_seconds, order.transfer_of) == (NUMBER, 20, scene.call.sid)
    assert scene.state() is CallState.HELD
    scene.close()


@virtual_time
async def test_a_carrier_that_does_not_ask_is_told_to_hold() -> None:
    scene = Scene()
    await scene.ordered()

    await asyncio.sleep(NEXT_SECONDS + 0.1)
    assert [type(it) for it in scene.stage.leg.enforced] == [Hold]
    assert len(scene.dialer.orders) == 1
    scene.close()


@virtual_time
async def test_the_human_is_told_and_asked_and_meets_the_caller() -> None:
    scene = Scene()
    hold = await scene.held()
    assert isinstance(hold, Hold)
    brief = scene.desk.answered(scene.marker, scene.human())
    assert isinstance(brief, Brief)
    assert "Ada is hungry." in brief.text
    assert "Ada" not in repr(brief), "nothing of it is for the log"
    assert scene.desk.answered(scene.marker, scene.human()) == brief
    meet = scene.desk.replied(scene.marker, 1, "1", "")
    assert meet == Meet(hold.room)
    assert scene.desk.replied(scene.marker, 1, "1", "") == meet, "asked again"
    assert scene.outcomes == []
    scene.desk.in_room(hold.room, scene.call.sid, came=True)
    assert scene.state() is CallState.HELD
    scene.desk.in_room(hold.room, HUMAN, came=True)
    assert scene.state() is CallState.DIALLED
    assert [type(it) for it in scene.told[1:]] == [
        messages.WarmTransferred,
        messages.CallEnded,
    ]
    assert scene.outcomes == ["accepted"]
    scene.stage.worker.exit()
    assert scene.call.answering.dial_ended(answered=True) == HangUp()
    assert len(scene.desk) == 1
    scene.ended("completed")
    assert len(scene.desk) == 0


@virtual_time
async def test_who_has_accepted_is_connected_even_if_no_callback_tells() -> None:
    scene = Scene()
    await scene.asked()
    scene.desk.replied(scene.marker, 1, "1", "")

    await asyncio.sleep(JOINING_SECONDS + 0.1)
    assert scene.outcomes == ["accepted"]
    scene.close()


@virtual_time
async def test_a_talk_that_is_over_before_it_was_heard_of_has_been_one() -> None:
    scene = Scene()
    await scene.asked()
    scene.desk.replied(scene.marker, 1, "1", "")
    assert scene.call.answering.dial_ended(answered=True) == HangUp()
    assert scene.outcomes == ["accepted"]
    assert scene.call.flow.reason == "transferred"
    scene.close()


@virtual_time
async def test_a_caller_whose_human_should_be_there_and_is_not_waits_for_nobody() -> None:
    """The carrier asks what a caller hears only while nobody is with them."""
    for is_seen in (True, False):
        scene = Scene()
        hold = await scene.asked_and_taken()
        await asyncio.sleep(JOINING_SECONDS - 0.1)
        assert scene.desk.is_open(hold.room), "they may be on the way"
        if is_seen:
            scene.desk.in_room(hold.room, HUMAN, came=True)
        await asyncio.sleep(0.2)
        assert scene.state() is CallState.DIALLED
        assert scene.desk.is_open(hold.room) is is_seen
        scene.close()


# The way back --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("busy", "busy"),
        ("no-answer", "no_answer"),
        ("canceled", "no_answer"),
        ("failed", "failed"),
        ("completed", "no_answer"),
        ("something new", "failed"),
    ],
)
@virtual_time
async def test_a_phone_that_nobody_picks_up_brings_the_caller_back(
    status: str, outcome: str
) -> None:
    scene = Scene()
    await scene.held()
    scene.ended(status)
    await settled()
    assert [type(it) for it in scene.stage.leg.enforced] == [Connect]
    assert scene.outcomes == [], "not before the caller is there"
    scene.back()
    assert scene.outcomes == [outcome]
    assert scene.state() is CallState.STREAMING
    assert scene.call.flow.plan is Plan.RECONNECT
    assert len(scene.desk) == 0
    assert scene.dialer.hung_up == []
    # ... and all may begin anew.
    await scene.ordered()
    assert scene.state() is CallState.LEAVING
    scene.close()


@pytest.mark.parametrize(
    ("digits", "speech", "says"),
    [("2", "", "declined"), ("", "No.", "declined"), ("", "nein danke", "")],
)
@virtual_time
async def test_who_declines_is_said_goodbye_to(digits: str, speech: str, says: str) -> None:
    scene = Scene()
    await scene.asked()
    answer = scene.desk.replied(scene.marker, 1, digits, speech)
    if not says:
        assert isinstance(answer, Brief), "a language that is not asked in"
        scene.close()
        return
    assert isinstance(answer, Excuse)
    assert "Goodbye" in answer.text
    assert scene.desk.replied(scene.marker, 1, digits, speech) == answer, "asked again"
    await settled()
    scene.ended("completed")
    scene.back()
    assert scene.outcomes == ["declined"]
    scene.close()


@virtual_time
async def test_who_says_nothing_is_asked_three_times() -> None:
    scene = Scene()
    await scene.asked()
    second = scene.desk.replied(scene.marker, 1, "", "")
    assert isinstance(second, Brief)
    assert second.attempt == 2
    assert "hungry" not in second.text
    assert scene.desk.replied(scene.marker, 1, "", "") == second, "a late repeat counts for nothing"
    third = scene.desk.replied(scene.marker, 2, "5", "")
    assert isinstance(third, Brief)
    assert isinstance(scene.desk.replied(scene.marker, 3, "", "hello who is there please"), Excuse)
    await settled()
    scene.back()
    assert scene.outcomes == ["no_answer"]
    scene.close()


@pytest.mark.parametrize("verdict", ["machine_start", "machine_end_beep", "fax"])
@virtual_time
async def test_a_machine_is_hung_up_on(verdict: str) -> None:
    scene = Scene()
    await scene.asked()
    scene.attempt(AttemptState.ANSWERED, answered_by=verdict)
    assert scene.dialer.hung_up == [scene.marker]
    await settled()
    scene.back()
    assert scene.outcomes == ["machine"]
    scene.close()


@virtual_time
async def test_a_machine_that_seemed_to_say_yes_is_hung_up_on_but_not_who_has_pressed_a_key() -> (
    None
):
    for digits, speech, outcome in (("", "yes", "machine"), ("1", "", None)):
        scene = Scene()
        await scene.asked()
        assert isinstance(scene.desk.replied(scene.marker, 1, digits, speech), Meet)
        scene.attempt(AttemptState.ANSWERED, answered_by="machine_start")
        await settled()
        if outcome is not None:
            scene.back()
        assert scene.outcomes == ([outcome] if outcome else [])
        scene.close()


@virtual_time
async def test_a_phone_and_a_question_have_their_time() -> None:

    scene = Scene()
    await scene.held()
    await asyncio.sleep(20 + CARRIER_SECONDS + 0.1)
    assert scene.dialer.hung_up == [scene.marker]
    scene.back()
    assert scene.outcomes == ["no_answer"]
    scene.close()
    scene = Scene()
    await scene.asked()
    await asyncio.sleep(BRIEFING_SECONDS + 0.1)
    scene.back()
    assert scene.outcomes == ["no_answer"]
    scene.close()


@virtual_time
async def test_a_call_that_cannot_be_placed_brings_the_caller_back_with_no_time_lost() -> None:
    scene = Scene()
    scene.dialer.error = DialUnavailableError("Twilio is away")
    await scene.held()
    scene.back()
    assert scene.outcomes == ["failed"]
    scene.close()


@virtual_time
async def test_a_call_that_is_in_doubt_is_waited_for() -> None:
    scene = Scene()
    scene.dialer.error = DialInDoubtError("k1", "no answer")
    await scene.held()
    assert scene.state() is CallState.HELD
    assert isinstance(scene.desk.answered(scene.marker, scene.human()), Brief)
    scene.close()


@virtual_time
async def test_a_room_that_could_not_be_had_is_answered_with_a_stream() -> None:
    scene = Scene()
    await scene.held()
    answer = scene.call.answering.dial_ended(answered=False)
    assert isinstance(answer, Connect)
    await settled()
    assert scene.stage.leg.enforced == [], "the carrier has asked"
    assert scene.dialer.hung_up == [scene.marker]
    scene.back()
    assert scene.outcomes == ["failed"]
    scene.close()


@virtual_time
async def test_a_carrier_that_fails_is_told_again_to_bring_the_caller_back() -> None:

    scene = Scene()
    await scene.held()
    scene.stage.leg.error = DOWN
    scene.ended("busy")
    await asyncio.sleep(PAUSES[0] + PAUSES[1] / 2)
    scene.stage.leg.error = None
    await asyncio.sleep(PAUSES[1])
    assert [type(it) for it in scene.stage.leg.enforced] == [Connect] * 3
    assert len({it.token for it in scene.stage.leg.enforced if isinstance(it, Connect)}) == 1
    scene.back()
    assert scene.outcomes == ["busy"]
    scene.close()


@virtual_time
async def test_a_carrier_that_did_it_without_saying_so_is_not_told_twice() -> None:

    scene = Scene()
    await scene.held()
    scene.stage.leg.error = DOWN
    scene.ended("busy")
    await settled()
    scene.back()
    await asyncio.sleep(sum(PAUSES))
    assert len(scene.stage.leg.enforced) == 1
    assert scene.outcomes == ["busy"]
    assert scene.state() is CallState.STREAMING
    scene.close()


@virtual_time
async def test_a_carrier_that_is_away_for_good_ends_the_call() -> None:

    scene = Scene()
    await scene.held()
    scene.stage.leg.error = DOWN
    scene.ended("busy")
    await asyncio.sleep(sum(PAUSES) + 1)
    assert scene.call.flow.reason == "the carrier could not be told"
    assert scene.outcomes == ["caller_left"]
    assert scene.call.answering.next() == Apologise(FALLBACK), "who is fetched back later is told"
    scene.close()


# Who leaves ----------------------------------------------------------------------------------


@virtual_time
async def test_a_caller_who_hangs_up_on_hold_ends_it_all() -> None:
    scene = Scene()
    await scene.held()
    scene.call.status("completed", final=True)
    assert scene.dialer.hung_up == [scene.marker]
    assert scene.outcomes == ["caller_left"]
    kinds = [type(it) for it in scene.told]
    assert kinds.index(messages.WarmTransferred) < kinds.index(messages.CallEnded)
    assert len(scene.desk) == 0
    scene.close()


@virtual_time
async def test_nobody_is_called_for_a_caller_who_left_before_the_carrier_was_asked() -> None:
    scene = Scene()
    await scene.held()
    (order,) = scene.dialer.orders
    assert order.wanted()
    scene.call.status("completed", final=True)
    assert not order.wanted()
    scene.close()


@virtual_time
async def test_a_human_who_is_being_told_hears_that_the_caller_is_gone() -> None:
    scene = Scene()
    await scene.asked()
    scene.call.status("completed", final=True)
    await settled()
    (answer,) = scene.human_leg.enforced
    assert isinstance(answer, Excuse)
    assert "not on the line any more" in answer.text
    assert scene.dialer.hung_up == []
    late = scene.desk.replied(scene.marker, 1, "1", "")
    assert isinstance(late, Excuse), "a key that comes too late"
    scene.close()


@virtual_time
async def test_a_human_who_cannot_be_told_is_hung_up_on() -> None:
    scene = Scene()
    await scene.asked()
    scene.human_leg.error = DOWN
    scene.call.status("completed", final=True)
    await settled()
    assert scene.dialer.hung_up == [scene.marker]
    scene.close()


@virtual_time
async def test_a_caller_who_left_the_room_and_is_not_heard_of_has_hung_up() -> None:

    scene = Scene()
    hold = await scene.held()
    assert isinstance(hold, Hold)
    scene.desk.in_room(hold.room, scene.call.sid, came=False)
    assert scene.outcomes == []
    await asyncio.sleep(LEFT_SECONDS + 0.1)
    assert scene.outcomes == ["caller_left"]
    assert scene.call.flow.over
    scene.close()


@virtual_time
async def test_a_caller_who_left_the_room_for_the_agent_has_not() -> None:

    scene = Scene()
    hold = await scene.held()
    assert isinstance(hold, Hold)
    scene.ended("busy")
    scene.desk.in_room(hold.room, scene.call.sid, came=False)
    await settled()
    scene.back()
    await asyncio.sleep(LEFT_SECONDS + 0.1)
    assert scene.outcomes == ["busy"]
    assert scene.state() is CallState.STREAMING
    scene.close()


@virtual_time
async def test_a_caller_who_is_gone_when_they_should_come_back_is_told_of_to_the_process() -> None:
    scene = Scene()
    await scene.held()
    scene.stage.leg.error = GONE
    scene.ended("busy")
    await settled()
    assert scene.outcomes == ["caller_left"]
    assert scene.call.flow.over
    scene.close()


@virtual_time
async def test_hanging_up_on_hold_ends_the_call_and_the_ringing() -> None:
    scene = Scene()
    await scene.held()
    assert scene.call.leave(Plan.HANG_UP, "the operator hung up")
    await settled()
    assert [type(it) for it in scene.stage.leg.enforced] == [HangUp]
    assert scene.call.flow.reason == "the operator hung up"
    assert scene.dialer.hung_up == [scene.marker]
    scene.close()


@virtual_time
async def test_a_cold_transfer_on_hold_goes_elsewhere_and_stops_the_ringing() -> None:
    scene = Scene()
    await scene.held()
    assert scene.call.leave(Plan.DIAL, "transferred by the operator", "+15005550009")
    await settled()
    assert scene.state() is CallState.DIALLED
    assert scene.dialer.hung_up == [scene.marker]
    assert scene.call.answering.dial_ended(answered=False) == Unanswered()
    scene.close()


# The process ---------------------------------------------------------------------------------


@virtual_time
async def test_a_process_that_dies_on_hold_leaves_the_transfer_alone() -> None:
    scene = Scene()
    brief = await scene.asked()
    scene.stage.worker.exit(signal=11, code=None)
    assert scene.state() is CallState.HELD
    assert isinstance(scene.desk.replied(brief.marker, 1, "1", ""), Meet)
    assert scene.state() is CallState.HELD


@virtual_time
async def test_a_caller_who_comes_back_to_no_process_is_told_so() -> None:
    scene = Scene()
    await scene.held()
    scene.stage.worker.exit(signal=11, code=None)
    scene.ended("busy")
    await settled()
    assert scene.stage.leg.enforced == [Apologise(FALLBACK)]
    assert scene.call.flow.over


@virtual_time
async def test_a_process_that_dies_on_the_way_back_is_told_of() -> None:
    scene = Scene()
    await scene.held()
    scene.stage.leg.error = DOWN
    scene.ended("busy")
    await settled()
    scene.stage.leg.error = None
    scene.stage.worker.exit(signal=11, code=None)
    await settled()
    assert scene.stage.leg.enforced[-1] == Apologise(FALLBACK)
    assert scene.call.flow.over


# What is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"to": "nobody"}, "destination"),
        ({"summary": " "}, "summary"),
        ({"summary": "x" * 1001}, "summary"),
        ({"ring_seconds": 1}, "ring-time"),
        ({"ring_seconds": 1000}, "ring-time"),
        ({"language": "en<US"}, "language"),
    ],
)
@virtual_time
async def test_an_order_that_makes_no_sense_is_refused(
    changes: dict[str, object], code: str
) -> None:
    scene = Scene()
    await scene.ordered(**changes)
    (failure,) = scene.told
    assert isinstance(failure, messages.Failure)
    assert (failure.request, failure.code) == (7, code)
    assert scene.state() is CallState.STREAMING
    scene.close()


@virtual_time
async def test_what_the_dialer_refuses_is_refused_before_the_caller_notices() -> None:
    scene = Scene()
    scene.dialer.refuses = DialRefusedError("public-url", "set PUBLIC_URL")
    await scene.ordered()
    assert scene.told == [messages.Failure(7, "public-url", "set PUBLIC_URL")]
    assert scene.state() is CallState.STREAMING
    scene.dialer.refuses = None
    await scene.ordered()
    assert scene.state() is CallState.LEAVING
    scene.close()


@virtual_time
async def test_one_transfer_at_a_time() -> None:
    scene = Scene()
    await scene.ordered()
    with pytest.raises(TransferRefusedError, match="under way"):
        await scene.call.holding.begin(scene.order())
    scene.close()


@virtual_time
async def test_a_call_that_is_being_hung_up_is_not_transferred() -> None:
    scene = Scene()
    scene.call.leave(Plan.HANG_UP, "the agent hung up")
    with pytest.raises(TransferRefusedError, match="already going to hang up"):
        await scene.call.holding.begin(scene.order())
    assert len(scene.desk) == 0
    scene.close()


@virtual_time
async def test_a_call_of_an_account_that_is_nobodys_is_not_transferred() -> None:
    scene = Scene(account="AC" + "7" * 32)
    with pytest.raises(TransferRefusedError, match="no company's"):
        await scene.call.holding.begin(scene.order())
    scene.dialer.companies = {scene.call.incoming.account_sid: 5}
    await scene.call.holding.begin(scene.order())
    scene.call.answering.next()
    await settled()
    assert scene.dialer.orders[0].company == 5
    scene.close()


@virtual_time
async def test_a_human_of_a_transfer_that_is_forgotten_talks_to_no_agent() -> None:
    scene = Scene()
    await scene.held()
    human = scene.human()
    scene.call.status("completed", final=True)
    assert isinstance(scene.desk.answered(scene.marker, human), Excuse)
    assert isinstance(scene.desk.replied(scene.marker, 1, "1", ""), Excuse)
    scene.close()
