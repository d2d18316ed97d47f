"""Calls whose caller is joined straight to a service."""

import asyncio

import pytest

from gateway.calls.answers import (
    Answer,
    Apologise,
    Asked,
    Connect,
    Dial,
    HangUp,
    Join,
    given,
)
from gateway.calls.deadlines import NEXT_SECONDS
from gateway.calls.elsewhere import (
    AWAY_SECONDS,
    EARLY_SECONDS,
    JOIN_SECONDS,
    ON_LINE_SECONDS,
    STATUS_SECONDS,
)
from gateway.calls.state import CallState, Plan
from gateway.carriers.control import CallGoneError, CarrierUnavailableError
from shared import messages
from tests.gateway.calls.actors import FALLBACK, RULES, SID, Stage, incoming, office
from tests.virtual_time import settled, virtual_time

TOOLS = "https://gateway.test/ultravox/tools/secret"
JOINED = Join("wss://voice.test/calls/1", "ultravox")
APOLOGY = Apologise(FALLBACK, unconnected=True)


def direct(reachable: bool = True) -> Stage:
    return Stage(reachable=reachable, tools_url=TOOLS)


def promise(asked: Asked) -> asyncio.Future[Answer]:
    assert isinstance(asked, asyncio.Future)
    assert not asked.done()
    return asked


def join(stage: Stage, *, stays: bool = True) -> None:
    stage.says(messages.Join(JOINED.url, JOINED.name, stays))


async def talking(stage: Stage) -> None:
    """The caller has been talking to the service for a while."""
    join(stage)
    await asyncio.sleep(EARLY_SECONDS + 1)


# The webhook ---------------------------------------------------------------------------------


@virtual_time
async def test_the_webhook_is_answered_when_the_process_knows_what_to_join() -> None:
    stage = direct()
    first, second = stage.call.answering.first(), promise(stage.call.answering.first())
    assert first is second
    await asyncio.sleep(3)
    join(stage)
    assert second.result() == JOINED == stage.call.answering.first()
    assert stage.call.flow.state is CallState.ELSEWHERE
    assert stage.tokens == []
    stage.close()


@virtual_time
async def test_the_process_is_told_where_its_tools_may_be_called() -> None:
    stage, other = direct(), Stage()
    urls = [each.tools_url for each in (stage.worker.heard[1], other.worker.heard[1])]  # type: ignore[union-attr]
    assert urls == [TOOLS, ""]
    stage.close()
    other.close()


@virtual_time
async def test_where_nothing_else_can_take_the_call_it_comes_here_and_is_like_any_other() -> None:
    stage = direct()
    waiting = promise(stage.call.answering.first())
    stage.says(messages.Relay())
    assert waiting.result() == Connect("token-1") == stage.call.answering.first()
    await asyncio.sleep(JOIN_SECONDS + 1)
    stage.open_stream()
    assert stage.call.flow.state is CallState.STREAMING
    stage.close()


@virtual_time
async def test_a_relayed_call_without_a_stream_in_time_is_over() -> None:
    stage = direct()
    stage.says(messages.Relay())
    await asyncio.sleep(RULES.stream_seconds + 1)
    assert stage.call.flow.reason == "no stream came in time"
    stage.close()


@virtual_time
async def test_a_process_that_joins_nothing_in_time_is_apologised_for() -> None:
    stage = direct()
    waiting = promise(stage.call.answering.first())
    await asyncio.sleep(JOIN_SECONDS + 0.1)
    assert waiting.result() == APOLOGY
    assert stage.call.flow.over
    join(stage)
    assert stage.call.flow.over
    stage.close()


@pytest.mark.parametrize(("code", "signal"), [(1, None), (None, 9)])
def test_a_process_that_dies_before_it_has_joined_is_apologised_for(
    code: int | None, signal: int | None
) -> None:
    @virtual_time
    async def case() -> None:
        stage = direct()
        waiting = promise(stage.call.answering.first())
        stage.worker.exit(code, signal)
        await settled()
        assert waiting.result() == APOLOGY == stage.call.answering.final
        assert stage.over == [stage.call]

    case()


@virtual_time
async def test_a_caller_who_hangs_up_before_there_is_an_answer_leaves_nobody_waiting() -> None:
    stage = direct()
    waiting = promise(stage.call.answering.first())
    stage.call.status("completed", final=True)
    assert waiting.result() == HangUp()
    assert stage.call.flow.reason == "completed"
    stage.close()


@virtual_time
async def test_an_operator_who_hangs_up_before_there_is_an_answer_is_obeyed() -> None:
    stage = direct()
    waiting = promise(stage.call.answering.first())
    assert stage.call.leave(Plan.HANG_UP, "the operator hung up")
    await settled()
    assert waiting.result() == HangUp()
    stage.close()


@virtual_time
async def test_an_agent_may_transfer_instead_of_having_the_caller_joined() -> None:
    stage = direct()
    waiting = promise(stage.call.answering.first())
    stage.says(messages.Transfer(1, "kitchen"))
    await settled()
    assert waiting.result() == Dial(RULES.destinations["kitchen"])
    assert messages.Reply(1) in stage.worker.heard
    stage.close()


@virtual_time
async def test_who_stops_waiting_takes_the_answer_from_nobody_else() -> None:
    stage = direct()
    waiting = promise(stage.call.answering.first())
    impatient = asyncio.ensure_future(given(waiting))
    await settled()
    impatient.cancel()
    await settled()
    join(stage)
    assert waiting.result() == JOINED
    stage.close()


@virtual_time
async def test_only_a_call_whose_agent_is_joined_to_a_service_can_join_one() -> None:
    stage = Stage()
    for command in (
        messages.Join(JOINED.url, JOINED.name, stays=True),
        messages.Relay(),
        messages.ToolReturned(1, "x"),
    ):
        stage.says(command)
    assert stage.call.flow.state is CallState.RINGING
    assert stage.call.answering.first() == Connect("token-1")
    stage.close()


# Elsewhere -------------------------------------------------------------------------------------


@virtual_time
async def test_no_stream_is_waited_for() -> None:
    stage = direct()
    join(stage)
    await asyncio.sleep(RULES.stream_seconds * 5)
    assert stage.call.flow.state is CallState.ELSEWHERE
    stage.close()


@virtual_time
async def test_a_process_with_nothing_left_to_do_leaves_and_the_call_goes_on() -> None:
    stage = direct()
    join(stage, stays=False)
    stage.worker.exit(0)
    await asyncio.sleep(60)
    assert stage.call.flow.state is CallState.ELSEWHERE
    assert stage.leg.enforced == []
    stage.call.status("completed", final=True)
    assert stage.over == [stage.call]


@pytest.mark.parametrize("stays", [True, False])
def test_the_death_of_the_process_does_not_end_the_call(stays: bool) -> None:
    @virtual_time
    async def case() -> None:
        stage = direct()
        join(stage, stays=stays)
        stage.worker.exit(None, 9)
        await asyncio.sleep(60)
        assert stage.call.flow.state is CallState.ELSEWHERE
        assert not stage.over

    case()


@virtual_time
async def test_the_caller_who_hangs_up_ends_the_call() -> None:
    stage = direct()
    await talking(stage)
    stage.call.status("completed", final=True)
    assert isinstance(stage.worker.heard[-1], messages.CallEnded)
    stage.close()
    assert stage.over == [stage.call]


@virtual_time
async def test_a_stream_that_is_over_without_a_question_is_a_caller_who_hung_up() -> None:
    stage = direct()
    await talking(stage)
    stage.call.stream_reported("", over=False)
    stage.call.stream_reported("", over=True)
    await asyncio.sleep(NEXT_SECONDS + 0.1)
    assert stage.call.flow.reason == "the caller hung up"
    assert stage.leg.enforced == []
    stage.close()


@virtual_time
async def test_a_stream_lost_without_a_question_is_apologised_for_by_rest() -> None:
    stage = direct()
    await talking(stage)
    stage.call.stream_reported("31921 closed", over=True)
    await asyncio.sleep(NEXT_SECONDS + 0.2)
    assert stage.leg.enforced == [Apologise(FALLBACK)]
    assert stage.call.flow.reason == "the service lost the call"
    stage.close()


@virtual_time
async def test_a_service_that_hangs_up_ends_the_call() -> None:
    stage = direct()
    await talking(stage)
    waiting = promise(stage.call.answering.asked())
    assert stage.call.answering.asked() is waiting
    stage.call.stream_reported("", over=True)
    assert waiting.result() == HangUp() == stage.call.answering.final
    assert stage.call.flow.reason == "the service hung up"
    stage.close()


@pytest.mark.parametrize("told_before", [True, False])
def test_a_service_that_loses_the_call_is_apologised_for(told_before: bool) -> None:
    @virtual_time
    async def case() -> None:
        stage = direct()
        await talking(stage)
        if told_before:
            stage.call.stream_reported("31921 closed", over=True)
            assert stage.call.answering.asked() == Apologise(FALLBACK)
        else:
            waiting = promise(stage.call.answering.asked())
            stage.call.stream_reported("31921 closed", over=True)
            assert waiting.result() == Apologise(FALLBACK)
        stage.close()

    case()


@virtual_time
async def test_a_carrier_that_does_not_say_how_its_stream_ended_is_not_kept_waiting() -> None:
    stage = direct()
    await talking(stage)
    waiting = promise(stage.call.answering.asked())
    await asyncio.sleep(STATUS_SECONDS + 0.1)
    assert waiting.result() == HangUp()
    stage.close()


@virtual_time
async def test_a_service_that_leaves_at_once_has_failed_whatever_is_said_of_it() -> None:
    stage = direct()
    join(stage)
    await asyncio.sleep(0.5)
    stage.call.stream_reported("", over=True)
    assert stage.call.answering.asked() == APOLOGY
    assert stage.call.flow.reason == "the service left at once"
    stage.close()


@virtual_time
async def test_the_webhook_asked_again_while_the_caller_is_elsewhere_gets_the_same_answer() -> None:
    stage = direct()
    join(stage)
    assert stage.call.answering.first() == JOINED
    stage.close()


# Leaving -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "target", "answer"),
    [(Plan.HANG_UP, "", HangUp()), (Plan.DIAL, "+15005550002", Dial("+15005550002"))],
)
def test_an_operator_ends_it_by_rest_at_once(plan: Plan, target: str, answer: Answer) -> None:
    @virtual_time
    async def case() -> None:
        stage = direct()
        await talking(stage)
        assert stage.call.leave(plan, "the operator", target)
        await asyncio.sleep(0.1)
        assert stage.leg.enforced == [answer]
        assert isinstance(stage.worker.heard[-1], messages.CallEnded)
        stage.close()

    case()


@virtual_time
async def test_the_longest_call_is_ended_by_rest() -> None:
    stage = direct()
    join(stage)
    await asyncio.sleep(RULES.most_seconds + 1)
    assert stage.leg.enforced == [HangUp()]
    assert stage.call.flow.reason == "maximum duration"
    stage.close()


@virtual_time
async def test_without_rest_the_process_is_told_to_have_the_service_let_go() -> None:
    stage = direct(reachable=False)
    await talking(stage)
    assert stage.call.leave(Plan.HANG_UP, "the operator hung up")
    await asyncio.sleep(0.1)
    assert isinstance(stage.worker.heard[-1], messages.CallEnded)
    assert stage.call.answering.asked() == HangUp()
    stage.close()


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (messages.HangUp(5), HangUp()),
        (messages.Transfer(5, "kitchen"), Dial(RULES.destinations["kitchen"])),
    ],
)
def test_a_tool_that_ends_it_returns_at_once_and_the_service_lets_go(
    command: messages.Command, answer: Answer
) -> None:
    @virtual_time
    async def case() -> None:
        stage = direct()
        await talking(stage)
        assert stage.call.elsewhere is not None
        tool = asyncio.ensure_future(stage.call.elsewhere.tools.call("end", "{}"))
        await settled()
        stage.says(command)
        assert messages.Reply(5) in stage.worker.heard
        returned = messages.ToolReturned(1, "ok", kind="hang-up")
        stage.says(returned)
        assert await tool == returned
        await asyncio.sleep(1)
        stage.call.stream_reported("", over=True)
        assert stage.call.answering.asked() == answer
        assert stage.leg.enforced == []
        stage.close()

    case()


@virtual_time
async def test_a_service_that_does_not_let_go_is_left_by_rest() -> None:
    stage = direct()
    await talking(stage)
    assert stage.call.elsewhere is not None
    tool = asyncio.ensure_future(stage.call.elsewhere.tools.call("end", "{}"))
    await settled()
    stage.says(messages.HangUp(5))
    await asyncio.sleep(AWAY_SECONDS - 0.1)
    assert stage.leg.enforced == []
    await asyncio.sleep(0.2)
    assert stage.leg.enforced == [HangUp()]
    await tool
    stage.close()


@virtual_time
async def test_keys_cannot_be_pressed_on_a_line_that_is_not_here() -> None:
    stage = direct()
    await talking(stage)
    stage.says(messages.SendDigits(3, "12"))
    (failure,) = [it for it in stage.worker.heard if isinstance(it, messages.Failure)]
    assert (failure.request, failure.code) == (3, "elsewhere")
    assert stage.call.flow.state is CallState.ELSEWHERE
    stage.close()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (CallGoneError("redirect", SID, 21220), "the caller hung up"),
        (
            CarrierUnavailableError("redirect", "Twilio failed", perhaps_done=True),
            "the carrier could not be told",
        ),
    ],
)
def test_a_carrier_that_cannot_be_told_ends_it_too(error: Exception, reason: str) -> None:
    @virtual_time
    async def case() -> None:
        stage = direct()
        await talking(stage)
        stage.leg.error = error  # type: ignore[assignment]
        stage.call.leave(Plan.DIAL, "the operator", "+1")
        await asyncio.sleep(0.1)
        assert stage.call.flow.over
        assert stage.call.flow.reason == reason
        stage.close()

    case()


# In the registry ---------------------------------------------------------------------------------


@virtual_time
async def test_the_registry_promises_an_answer_for_a_number_that_is_direct() -> None:
    calls, farm = office()
    farm.direct = True
    waiting = promise(calls.incoming(incoming()))
    assert calls.incoming(incoming()) is waiting
    call, (worker,) = calls.get(SID), farm.workers
    assert call is not None
    call.frame(messages.encode(messages.Join(JOINED.url, JOINED.name, stays=True)))
    assert waiting.result() == JOINED
    assert "wss" not in repr(JOINED)
    worker.exit()


@virtual_time
async def test_a_call_is_found_by_its_conversation_as_long_as_it_lives() -> None:
    calls, farm = office()
    farm.direct = True
    calls.incoming(incoming())
    call = calls.get(SID)
    assert call is not None
    call.frame(messages.encode(messages.KnownAs("c" * 300)))
    name = "c" * 200
    assert calls.by_conversation(name) is call
    assert calls.by_conversation("other") is None
    assert calls.by_conversation("") is None
    view = calls.find(SID)
    assert view is not None
    assert view.conversation_id == name
    call.status("completed", final=True)
    farm.workers[0].exit()
    assert calls.by_conversation(name) is None
    past = calls.find(SID)
    assert past is not None
    assert past.conversation_id == name


@virtual_time
async def test_a_token_for_tools_lives_as_long_as_its_call() -> None:
    calls, farm = office()
    farm.direct = True
    calls.incoming(incoming())
    metadata = farm.workers[0].heard[1]
    assert isinstance(metadata, messages.Metadata)
    token = metadata.tools_url.rpartition("/")[2]
    call = calls.get(SID)
    assert call is not None
    assert calls.tool_tokens.find(token) is call
    assert calls.tool_tokens.find(token + "x") is None
    call.status("completed", final=True)
    assert calls.tool_tokens.find(token) is None
    farm.workers[0].exit()
    assert len(calls.tool_tokens) == 0


@virtual_time
async def test_a_call_without_a_process_leaves_no_token_behind() -> None:
    calls, farm = office()
    farm.direct, farm.ready = True, False
    assert calls.incoming(incoming()) == Apologise(FALLBACK)
    assert len(calls.tool_tokens) == 0


@virtual_time
async def test_a_drain_waits_for_a_call_that_is_elsewhere_and_then_hangs_it_up() -> None:
    calls, farm = office()
    farm.direct = True
    calls.incoming(incoming())
    call = calls.get(SID)
    assert call is not None
    call.frame(messages.encode(messages.Join(JOINED.url, JOINED.name, stays=False)))
    farm.workers[0].exit()
    await calls.drain(30)
    assert len(calls) == 1
    await calls.hang_up_all("the server stops", 5)
    assert len(calls) == 0


# Recording at the carrier -----------------------------------------------------------------------


@virtual_time
async def test_what_the_carrier_is_to_keep_begins_when_the_caller_is_joined() -> None:
    stage = direct()
    promise(stage.call.answering.first())
    stage.says(messages.Join(JOINED.url, JOINED.name, False, "Recorded.", "de"))
    assert stage.call.answering.first() == Join(JOINED.url, JOINED.name, "Recorded.", "de")
    stage.says(messages.StartRecording(1))
    stage.says(messages.StartTranscription(2))
    await asyncio.sleep(EARLY_SECONDS + 5)
    assert stage.leg.asked == []
    stage.call.stream_reported("", over=False)
    await settled()
    assert stage.leg.asked == ["start recording", "start transcription"]
    assert messages.Reply(1) in stage.worker.heard
    # The phrase took a while: the service has hardly had the caller.
    assert stage.call.elsewhere is not None
    assert stage.call.elsewhere.is_early
    stage.close()


@virtual_time
async def test_a_caller_of_whom_nobody_says_that_they_are_joined_is_not_recorded() -> None:
    stage = direct()
    promise(stage.call.answering.first())
    join(stage)
    stage.says(messages.StartRecording(1))
    await asyncio.sleep(ON_LINE_SECONDS + 1)
    assert stage.leg.asked == []
    (failure,) = [it for it in stage.worker.heard if isinstance(it, messages.Failure)]
    assert (failure.request, failure.code) == (1, "carrier")
    stage.close()


@virtual_time
async def test_nobody_waits_for_a_caller_who_has_hung_up_before_that() -> None:
    stage = direct()
    promise(stage.call.answering.first())
    join(stage)
    stage.says(messages.StartRecording(1))
    await settled()
    stage.call.status("completed", final=True)
    await settled()
    assert not stage.call._tasks
    assert stage.leg.asked == []
    stage.close()
