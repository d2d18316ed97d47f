import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import messages
from tests.virtual_time import settled, virtual_time
from tests.worker.playbook import OVER, SID, STREAM, Audio, Wire
from worker.call_info import CallInfo
from worker.errors import CallError, CallOverError, RequestError
from worker.requests import REQUEST_SECONDS
from worker.voip import LAST_WORDS_SECONDS, PLAY_BYTES, VoIP

SECOND = b"\x55" * 8000


def _line(streaming: bool = True) -> tuple[VoIP, Wire]:
    wire = Wire()
    call = VoIP(wire, CallInfo(SID), asyncio.get_running_loop().time)
    if streaming:
        call.deliver(STREAM)
    return call, wire


# Speech --------------------------------------------------------------------------------------


@virtual_time
async def test_audio_of_any_length_goes_out_whole_and_in_pieces_the_carrier_takes() -> None:
    call, wire = _line()
    sound = bytes(range(250)) * 100
    call.play(sound)
    assert bytes(wire.audio) == sound
    assert max(wire.pieces) <= PLAY_BYTES
    assert call.sent == len(sound)


@virtual_time
async def test_without_a_stream_nothing_is_played_marked_or_cleared_and_nothing_is_raised() -> None:
    call, wire = _line(streaming=False)
    call.play(SECOND)
    assert await call.mark() is False
    assert call.clear() == 0.0
    await call.last_words()
    assert (wire.items, call.sent, call.heard, call.speaking_ms) == ([], 0, 0, 0.0)


@virtual_time
async def test_a_mark_is_true_when_its_echo_comes() -> None:
    call, wire = _line()
    call.play(SECOND)
    mark = call.mark()
    assert wire.items == [Audio(8000), messages.Mark(wire.marks[0])]
    await asyncio.sleep(1)
    assert not mark.done()
    call.deliver(messages.MarkPlayed(wire.marks[0]))
    assert await mark is True


@virtual_time
async def test_a_mark_is_false_when_it_was_cleared_even_though_its_echo_comes() -> None:
    call, wire = _line()
    call.play(SECOND)
    mark, name = call.mark(), wire.marks[0]
    await asyncio.sleep(0.25)
    assert call.clear() == pytest.approx(750, abs=0.2)
    assert await mark is False
    call.deliver(messages.MarkPlayed(name))
    assert call.heard == pytest.approx(2000, abs=1)


@pytest.mark.parametrize("end", [messages.StreamStopped("gone"), OVER])
def test_a_mark_is_false_when_stream_or_call_end(end: messages.Event) -> None:
    @virtual_time
    async def case() -> None:
        call, _ = _line()
        call.play(SECOND)
        mark = call.mark()
        call.deliver(end)
        assert await mark is False

    case()


@virtual_time
async def test_echoes_of_unknown_marks_do_nothing() -> None:
    call, _ = _line()
    mark = call.mark()
    for name in ("", "9.9", "nonsense"):
        call.deliver(messages.MarkPlayed(name))
    assert not mark.done()


@virtual_time
async def test_one_who_gives_up_on_a_mark_disturbs_nobody() -> None:
    call, wire = _line()
    call.mark().cancel()
    call.deliver(messages.MarkPlayed(wire.marks[0]))
    call.mark().cancel()
    call.clear()


@virtual_time
async def test_a_new_stream_begins_with_nothing_sent_and_plays_again() -> None:
    call, wire = _line()
    call.play(SECOND)
    call.deliver(messages.StreamStopped("gone"))
    call.play(SECOND)
    call.deliver(STREAM)
    assert (call.sent, call.speaking_ms) == (0, 0.0)
    call.play(SECOND[:160])
    assert len(wire.audio) == 8160


@virtual_time
async def test_last_words_wait_for_the_echo_of_what_is_being_said() -> None:
    call, wire = _line()
    call.play(SECOND)
    waiting = asyncio.create_task(call.last_words())
    await asyncio.sleep(1.5)
    assert not waiting.done()
    call.deliver(messages.MarkPlayed(wire.marks[0]))
    await waiting


@virtual_time
async def test_last_words_do_not_wait_for_ever_for_an_echo_that_never_comes() -> None:
    call, _ = _line()
    call.play(SECOND)
    began = asyncio.get_running_loop().time()
    await call.last_words()
    waited = asyncio.get_running_loop().time() - began
    assert waited == pytest.approx(1 + LAST_WORDS_SECONDS)


# Requests ------------------------------------------------------------------------------------

REQUESTS: list[tuple[Callable[[VoIP], Awaitable[None]], messages.Request]] = [
    (lambda call: call.hangup(), messages.HangUp(1)),
    (lambda call: call.transfer("kitchen"), messages.Transfer(1, "kitchen")),
    (lambda call: call.send_digits("12#"), messages.SendDigits(1, "12#")),
    (lambda call: call.start_recording(), messages.StartRecording(1)),
    (lambda call: call.stop_recording(), messages.StopRecording(1)),
    (lambda call: call.delete_recording(), messages.DeleteRecording(1)),
    (lambda call: call.start_transcription(), messages.StartTranscription(1)),
    (lambda call: call.stop_transcription(), messages.StopTranscription(1)),
]
_each = pytest.mark.parametrize(("ask", "frame"), REQUESTS, ids=lambda it: type(it).__name__)


@_each
def test_a_request_returns_when_it_was_carried_out(
    ask: Callable[[VoIP], Awaitable[None]], frame: messages.Request
) -> None:
    @virtual_time
    async def case() -> None:
        call, wire = _line()
        asking = asyncio.ensure_future(ask(call))
        await settled()
        assert wire.items == [frame]
        assert not asking.done()
        call.deliver(messages.Reply(1))
        await asking

    case()


@_each
def test_a_request_that_fails_raises_what_the_gateway_said(
    ask: Callable[[VoIP], Awaitable[None]], frame: messages.Request
) -> None:
    @virtual_time
    async def case() -> None:
        call, _ = _line()
        asking = asyncio.ensure_future(ask(call))
        await settled()
        call.deliver(messages.Failure(1, "carrier", "Twilio said no"))
        with pytest.raises(RequestError, match=r"Twilio said no \(carrier\)") as caught:
            await asking
        assert caught.value.code == "carrier"

    case()


@_each
def test_a_request_during_which_the_call_ends_says_so(
    ask: Callable[[VoIP], Awaitable[None]], frame: messages.Request
) -> None:
    @virtual_time
    async def case() -> None:
        call, wire = _line()
        asking = asyncio.ensure_future(ask(call))
        await settled()
        call.deliver(OVER)
        with pytest.raises(CallOverError, match="the caller hung up"):
            await asking
        with pytest.raises(CallOverError):
            await ask(call)
        assert wire.items == [frame]

    case()


@virtual_time
async def test_a_warm_transfer_is_answered_by_how_it_went() -> None:
    call, wire = _line()
    asking = asyncio.ensure_future(
        call.transfer_warm("manager", "Ada calls.", ring_s=20, language="de-DE")
    )
    await settled()
    assert wire.items == [messages.TransferWarm(1, "manager", "Ada calls.", 20, "de-DE")]
    await asyncio.sleep(10 * REQUEST_SECONDS)
    call.deliver(messages.StreamStopped("on hold"))
    call.deliver(messages.StreamStarted("MZ2", {}))
    call.deliver(messages.WarmTransferred(1, "manager", "busy"))
    assert await asking == "busy"
    assert not call.leaving
    assert call.streaming


@virtual_time
async def test_after_a_warm_transfer_that_was_accepted_nothing_more_is_said() -> None:
    call, _ = _line()
    asking = asyncio.ensure_future(call.transfer_warm("manager", "Ada calls."))
    await settled()
    call.deliver(messages.WarmTransferred(1, "manager", "accepted"))
    call.deliver(OVER)
    assert await asking == "accepted"
    assert call.leaving


@virtual_time
async def test_a_request_that_is_never_answered_times_out() -> None:
    call, _ = _line()
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(RequestError, match=r"no answer within 15 s \(timeout\)"):
        await call.start_recording()
    assert loop.time() - began == pytest.approx(REQUEST_SECONDS)
    call.deliver(messages.Reply(1))
    call.deliver(messages.Failure(1, "late", "too late"))


@virtual_time
async def test_each_request_gets_its_own_answer_whatever_their_order() -> None:
    call, _ = _line()
    first = asyncio.ensure_future(call.start_recording())
    second = asyncio.ensure_future(call.start_transcription())
    await settled()
    call.deliver(messages.Failure(2, "carrier", "no"))
    await settled()
    assert second.done()
    assert not first.done()
    call.deliver(messages.Reply(1))
    await first
    with pytest.raises(RequestError):
        await second


@virtual_time
async def test_answers_to_nothing_and_answers_twice_do_nothing() -> None:
    call, _ = _line()
    call.deliver(messages.Reply(99))
    asking = asyncio.ensure_future(call.start_recording())
    await settled()
    call.deliver(messages.Reply(1))
    call.deliver(messages.Failure(1, "x", "y"))
    await asking


@virtual_time
async def test_a_request_that_was_given_up_is_forgotten() -> None:
    call, _ = _line()
    asking = asyncio.ensure_future(call.start_recording())
    await settled()
    asking.cancel()
    await asyncio.wait([asking])
    call.deliver(messages.Reply(1))
    call.deliver(OVER)


@pytest.mark.parametrize("leave", ["hangup", "transfer", "send_digits"])
def test_leaving_the_line_waits_for_the_last_words(leave: str) -> None:
    @virtual_time
    async def case() -> None:
        call, wire = _line()
        call.play(SECOND)
        arguments = () if leave == "hangup" else ("1",)
        asking = asyncio.ensure_future(getattr(call, leave)(*arguments))
        await asyncio.sleep(1)
        assert wire.kinds() == [Audio, messages.Mark]
        call.deliver(messages.MarkPlayed(wire.marks[0]))
        await settled()
        assert isinstance(wire.items[-1], messages.HangUp | messages.Transfer | messages.SendDigits)
        call.deliver(messages.Reply(1))
        await asking

    case()


@virtual_time
async def test_logs_and_metrics_need_no_stream_and_no_answer() -> None:
    call, wire = _line(streaming=False)
    call.log("booked", people=4)
    call.metric("tables", 2)
    assert wire.items == [
        messages.Log("info", "booked", {"people": 4}),
        messages.Metric("tables", 2.0),
    ]


@given(
    st.lists(
        st.sampled_from(
            [
                STREAM,
                messages.StreamStopped("x"),
                messages.MarkPlayed("0.1"),
                messages.MarkPlayed("1.2"),
                messages.Reply(1),
                messages.Failure(2, "c", "s"),
                OVER,
                messages.Dtmf("1"),
                messages.CallStatus("in-progress"),
                "play",
                "mark",
                "clear",
                "ask",
            ]
        ),
        max_size=30,
    )
)
def test_no_order_of_events_leaves_anyone_waiting_after_the_end(
    deeds: list[messages.Event | str],
) -> None:
    @virtual_time
    async def case() -> None:
        call, _ = _line(streaming=False)
        waiting = list[asyncio.Future[bool] | asyncio.Future[None]]()
        for deed in deeds:
            match deed:
                case "play":
                    call.play(SECOND[:160])
                case "mark":
                    waiting.append(call.mark())
                case "clear":
                    call.clear()
                case "ask":
                    waiting.append(asyncio.ensure_future(call.start_recording()))
                    await asyncio.sleep(0)
                case str():
                    raise AssertionError(deed)
                case event:
                    call.deliver(event)
        await asyncio.sleep(0)
        call.deliver(OVER)
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(not isinstance(it, BaseException) or isinstance(it, CallError) for it in results)

    case()


# What was heard of a text ---------------------------------------------------------------------
