import asyncio
from collections.abc import Callable
from dataclasses import replace

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.allowance import BURST_LINES
from gateway.calls.answers import Answer, Apologise, Connect, Dial, HangUp, Unanswered
from gateway.calls.call import KILL_SECONDS
from gateway.calls.deadlines import NEXT_SECONDS
from gateway.calls.state import CallState, Plan
from gateway.calls.stream import CallStream
from gateway.calls.streams import MOST_CONNECTS
from gateway.calls.vigil import MOST_FRAMES
from gateway.carriers.control import CallGoneError, CarrierUnavailableError
from shared import messages
from tests.gateway.calls.actors import FALLBACK, RULES, SID, Socket, Stage
from tests.virtual_time import settled, virtual_time

GONE = CallGoneError("redirect", SID, 21220)
DOWN = CarrierUnavailableError("redirect", "Twilio failed", perhaps_done=True)


# The beginning -------------------------------------------------------------------------------


@virtual_time
async def test_the_process_is_told_first_which_call_this_is() -> None:
    stage = Stage()
    hello, metadata = stage.worker.heard
    assert hello == messages.Hello(messages.VERSION)
    assert isinstance(metadata, messages.Metadata)
    assert (metadata.call_sid, metadata.release) == (SID, "r1")
    stage.close()


@virtual_time
async def test_the_voice_webhook_gets_the_same_answer_until_the_stream_opens() -> None:
    stage = Stage()
    assert stage.call.answering.first() == stage.call.answering.first() == Connect("token-1")
    stage.open_stream()
    assert stage.call.answering.first() == Connect("token-2")
    stage.close()


@virtual_time
async def test_a_stream_and_its_audio_reach_the_process_in_order() -> None:
    stage = Stage()
    stream, _ = stage.open_stream()
    stream.stream_audio(b"\x01" * 160)
    stream.stream_dtmf("5")
    stream.stream_mark("0.1")
    assert stage.worker.heard[2:] == [
        messages.StreamStarted("MZ1", {"a": "b"}),
        b"\x01" * 160,
        messages.Dtmf("5"),
        messages.MarkPlayed("0.1"),
    ]
    stage.close()


@virtual_time
async def test_what_the_agent_plays_marks_and_clears_reaches_the_carrier_in_order() -> None:
    stage = Stage()
    _, socket = stage.open_stream()
    stage.call.frame(messages.audio_frame(b"\x02" * 320))
    stage.says(messages.Mark("0.1"))
    stage.says(messages.Clear())
    assert socket.played == [b"\x02" * 320, "mark 0.1", "clear"]
    stage.close()


@virtual_time
async def test_what_the_agent_plays_without_a_stream_is_dropped() -> None:
    stage = Stage()
    stage.call.frame(messages.audio_frame(b"\x02" * 320))
    stage.says(messages.Mark("0.1"))
    stage.says(messages.Clear())
    _, socket = stage.open_stream()
    assert socket.played == []
    stage.close()


@virtual_time
async def test_a_call_without_a_stream_in_time_is_over() -> None:
    stage = Stage()
    await asyncio.sleep(RULES.stream_seconds - 0.1)
    assert not stage.call.flow.over
    await asyncio.sleep(0.2)
    assert stage.call.flow.reason == "no stream came in time"
    assert isinstance(stage.worker.heard[-1], messages.CallEnded)
    stage.close()
    assert stage.over == [stage.call]


# The stream goes -----------------------------------------------------------------------------


@virtual_time
async def test_the_call_goes_on_with_a_new_stream_when_the_carrier_asks() -> None:
    stage = Stage()
    first, _ = stage.open_stream()
    first.stream_closed(1006, "")
    assert stage.call.answering.next() == Connect("token-1")
    stage.open_stream()
    await asyncio.sleep(60)
    assert stage.call.flow.state is CallState.STREAMING
    assert stage.worker.kinds() == [
        messages.StreamStarted,
        messages.StreamStopped,
        messages.StreamStarted,
    ]
    stage.close()


@pytest.mark.parametrize("said_stop", [True, False])
def test_a_carrier_that_does_not_come_to_ask_has_hung_up_or_is_told(said_stop: bool) -> None:
    @virtual_time
    async def case() -> None:
        stage = Stage()
        stream, _ = stage.open_stream()
        if said_stop:
            stream.stream_stopped()
        stream.stream_closed(1000 if said_stop else 1006, "")
        await asyncio.sleep(NEXT_SECONDS + 0.1)
        if said_stop:
            assert stage.call.flow.reason == "the caller hung up"
            assert stage.leg.enforced == []
        else:
            assert stage.leg.enforced == [Connect("token-1")]
            stage.open_stream()
            await asyncio.sleep(RULES.stream_seconds * 2)
            assert stage.call.flow.state is CallState.STREAMING
        stage.close()

    case()


@virtual_time
async def test_a_stream_lost_for_good_without_rest_ends_the_call() -> None:
    stage = Stage(reachable=False)
    stream, _ = stage.open_stream()
    stream.stream_closed(1006, "")
    await asyncio.sleep(NEXT_SECONDS + 0.1)
    assert stage.call.flow.reason == "the stream was lost"
    stage.close()


@virtual_time
async def test_a_stream_that_rest_was_to_bring_back_has_a_deadline_too() -> None:
    stage = Stage()
    stream, _ = stage.open_stream()
    stream.stream_closed(1006, "")
    await asyncio.sleep(NEXT_SECONDS + RULES.stream_seconds + 1)
    assert stage.call.flow.reason == "no stream came in time"
    stage.close()


@virtual_time
async def test_a_new_stream_takes_the_place_of_one_that_is_still_open() -> None:
    stage = Stage()
    first, old = stage.open_stream()
    second, new = stage.open_stream()
    assert (len(old.closed), new.closed) == (1, [])
    assert stage.call.flow.state is CallState.STREAMING
    first.stream_closed(1000, "")
    first.stream_audio(b"late")
    stage.call.frame(messages.audio_frame(b"\x02"))
    assert (old.played, new.played) == ([], [b"\x02"])
    assert b"late" not in stage.worker.heard
    second.stream_closed(1000, "")
    assert stage.call.streams.current is None
    stage.close()


@virtual_time
async def test_a_carrier_that_goes_on_by_itself_gets_the_old_stream_closed() -> None:
    stage = Stage()
    _, socket = stage.open_stream()
    assert stage.call.answering.next() == Connect("token-1")
    assert socket.closed == [(1000, "the carrier went on")]
    stage.close()


@virtual_time
async def test_a_call_whose_streams_never_open_is_given_up_with_an_apology() -> None:
    stage = Stage()
    answers = [stage.call.answering.next() for _ in range(MOST_CONNECTS + 2)]
    assert answers[MOST_CONNECTS:] == [Apologise(FALLBACK)] * 2
    assert all(isinstance(answer, Connect) for answer in answers[:MOST_CONNECTS])
    stage.close()


# Leaving -------------------------------------------------------------------------------------


@virtual_time
async def test_a_hang_up_closes_the_stream_and_is_answered_when_the_carrier_asks() -> None:
    stage = Stage()
    _, socket = stage.open_stream()
    stage.says(messages.HangUp(1))
    assert socket.closed == [(1000, "the agent hung up")]
    assert messages.Reply(1) not in stage.worker.heard
    assert stage.call.answering.next() == HangUp()
    assert stage.worker.heard[-2:] == [
        messages.Reply(1),
        messages.CallEnded("the agent hung up", 5.0),
    ]
    stage.close()


@virtual_time
async def test_a_carrier_that_does_not_ask_is_told_to_hang_up() -> None:
    stage = Stage()
    stage.open_stream()
    stage.says(messages.HangUp(1))
    await asyncio.sleep(NEXT_SECONDS + 0.1)
    assert stage.leg.enforced == [HangUp()]
    assert messages.Reply(1) in stage.worker.heard
    stage.close()


@virtual_time
async def test_a_transfer_dials_and_lets_the_process_go() -> None:
    stage = Stage()
    stage.open_stream()
    stage.says(messages.Transfer(1, "kitchen"))
    assert stage.call.answering.next() == Dial("+15005550002")
    assert stage.worker.kinds()[-2:] == [messages.Reply, messages.CallEnded]
    assert stage.over == []
    stage.worker.exit()
    assert stage.over == [stage.call]
    assert stage.call.answering.next() == Dial("+15005550002")
    assert stage.call.answering.dial_ended(answered=True) == HangUp()


@virtual_time
async def test_a_carrier_that_asks_twice_during_a_transfer_is_sent_to_the_same_number() -> None:
    stage = Stage()
    stage.open_stream()
    stage.says(messages.Transfer(1, "kitchen"))
    assert stage.call.answering.next() == stage.call.answering.next() == Dial("+15005550002")
    assert stage.worker.kinds().count(messages.CallEnded) == 1
    stage.close()


@virtual_time
async def test_a_caller_whom_nobody_answered_is_told_so_each_time() -> None:
    stage = Stage()
    stage.open_stream()
    stage.says(messages.Transfer(1, "kitchen"))
    stage.call.answering.next()
    assert stage.call.answering.dial_ended(answered=False) == Unanswered()
    assert stage.call.answering.dial_ended(answered=False) == Unanswered()
    assert stage.call.flow.reason == "transfer not answered"
    stage.close()


@virtual_time
async def test_keys_are_pressed_and_the_same_process_goes_on() -> None:
    stage = Stage()
    stage.open_stream()
    stage.says(messages.SendDigits(1, "1w2#"))
    assert stage.call.answering.next() == Connect("token-1", "1w2#")
    assert messages.Reply(1) not in stage.worker.heard
    stage.open_stream()
    assert stage.worker.heard[-1] == messages.Reply(1)
    assert stage.call.answering.next() == Connect("token-2")
    stage.close()


@virtual_time
async def test_a_call_that_is_to_end_before_its_stream_ends_with_it() -> None:
    stage = Stage()
    stage.says(messages.HangUp(1))
    assert stage.call.flow.state is CallState.LEAVING
    _, socket = stage.open_stream()
    assert len(socket.closed) == 1
    await asyncio.sleep(NEXT_SECONDS + 0.1)
    assert stage.leg.enforced == [HangUp()]
    stage.close()


@virtual_time
async def test_an_end_is_not_undone_by_a_later_wish() -> None:
    stage = Stage()
    stage.open_stream()
    stage.says(messages.HangUp(1))
    stage.says(messages.Transfer(2, "kitchen"))
    failure = stage.worker.heard[-1]
    assert isinstance(failure, messages.Failure)
    assert (failure.request, failure.code) == (2, "too-late")
    assert stage.call.answering.next() == HangUp()
    stage.close()


@pytest.mark.parametrize("error", [GONE, DOWN])
def test_a_carrier_that_cannot_be_told_ends_the_call(error: Exception) -> None:
    @virtual_time
    async def case() -> None:
        stage = Stage()
        stream, _ = stage.open_stream()
        stage.leg.error = error  # type: ignore[assignment]
        stream.stream_closed(1006, "")
        await asyncio.sleep(NEXT_SECONDS + 0.1)
        assert stage.call.flow.over
        said = "the caller hung up" if error is GONE else "the carrier could not be told"
        assert stage.call.flow.reason == said
        stage.close()

    case()


@virtual_time
async def test_a_call_of_maximum_length_is_hung_up() -> None:
    stage = Stage(replace(RULES, most_seconds=100))
    stage.open_stream()
    await asyncio.sleep(99)
    assert stage.call.flow.state is CallState.STREAMING
    await asyncio.sleep(1.1)
    assert stage.call.flow.reason == "maximum duration"
    assert stage.call.answering.next() == HangUp()
    stage.close()


@virtual_time
async def test_a_final_status_ends_the_call_and_others_are_only_told() -> None:
    stage = Stage()
    _, socket = stage.open_stream()
    stage.call.status("in-progress", final=False)
    assert stage.worker.heard[-1] == messages.CallStatus("in-progress")
    stage.call.status("completed", final=True)
    stage.call.status("completed", final=True)
    assert len(socket.closed) == 1
    assert stage.worker.kinds().count(messages.CallEnded) == 1
    stage.close()
    assert stage.over == [stage.call]


# The process goes ----------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "signal"), [(1, None), (None, 9), (None, 11), (None, None)])
def test_a_crash_is_answered_with_an_apology_and_the_fallback(
    code: int | None, signal: int | None
) -> None:
    @virtual_time
    async def case() -> None:
        stage = Stage()
        _, socket = stage.open_stream()
        stage.worker.exit(code, signal)
        assert len(socket.closed) == 1
        assert stage.over == []
        assert stage.call.answering.next() == Apologise(FALLBACK)
        assert stage.over == [stage.call]
        assert stage.call.answering.next() == Apologise(FALLBACK)

    case()


@virtual_time
async def test_an_agent_that_leaves_of_itself_hangs_up() -> None:
    stage = Stage()
    stage.open_stream()
    stage.worker.exit(0)
    assert stage.call.answering.next() == HangUp()
    assert stage.over == [stage.call]


@virtual_time
async def test_a_crash_whose_carrier_does_not_ask_is_told_to_it() -> None:
    stage = Stage()
    stage.open_stream()
    stage.worker.exit(1)
    await asyncio.sleep(NEXT_SECONDS + 0.1)
    assert stage.leg.enforced == [Apologise(FALLBACK)]
    assert stage.over == [stage.call]


@virtual_time
async def test_audio_that_comes_after_a_crash_goes_nowhere() -> None:
    stage = Stage()
    stream, _ = stage.open_stream()
    stage.worker.exit(1)
    stream.stream_audio(b"\x01" * 160)
    stream.stream_mark("0.1")
    stream.stream_closed(1000, "")
    assert stage.call.flow.state is CallState.LEAVING


@virtual_time
async def test_last_words_written_before_a_crash_are_heard() -> None:
    stage = Stage()
    stage.open_stream()
    stage.worker.end.send_bytes(messages.encode(messages.Said("agent", "help", 1.0)))
    stage.worker.exit(None, 9)
    assert [line.text for line in stage.call.notes.lines] == ["help"]


@virtual_time
async def test_a_process_that_outlives_its_call_is_killed() -> None:
    stage = Stage()
    stage.call.end("done")
    await asyncio.sleep(KILL_SECONDS - 1)
    assert stage.worker.signals == []
    await asyncio.sleep(1.1)
    assert stage.worker.signals == [9]
    stage.close()


@virtual_time
async def test_a_process_that_ends_in_time_is_not_killed() -> None:
    stage = Stage()
    stage.call.end("done")
    stage.worker.exit()
    await asyncio.sleep(KILL_SECONDS * 2)
    assert stage.worker.signals == []
    assert stage.over == [stage.call]


@virtual_time
async def test_a_silent_process_is_looked_into_once_and_then_killed() -> None:
    stage = Stage()
    loop = asyncio.get_running_loop()
    for _ in range(14):
        await asyncio.sleep(1)
        stage.call.vigil.look(loop.time())
    assert (stage.worker.dumps, stage.worker.signals) == (1, [])
    await asyncio.sleep(1)
    stage.call.vigil.look(loop.time())
    assert stage.worker.signals == [9]
    stage.close()


@virtual_time
async def test_a_process_that_beats_is_left_alone_and_a_second_silence_is_looked_into() -> None:
    stage = Stage()
    loop = asyncio.get_running_loop()
    for silence in (6, 1, 6):
        await asyncio.sleep(silence)
        stage.call.vigil.look(loop.time())
        stage.says(messages.Beat())
        stage.call.vigil.look(loop.time())
    assert (stage.worker.dumps, stage.worker.signals) == (2, [])
    stage.close()


@pytest.mark.parametrize("frame", [b"", b"nonsense", messages.encode(messages.Dtmf("1"))])
def test_nonsense_on_the_pipe_kills_that_process(frame: bytes) -> None:
    @virtual_time
    async def case() -> None:
        stage = Stage()
        stage.call.frame(frame)
        assert stage.worker.signals == [9]
        stage.close()

    case()


@pytest.mark.parametrize(
    "state",
    [b"", b"\xc1", b"\x81\x90\x01", b"\x91" * 3000, b"\x81\x81\x01\x02\x03", b"\xa1\xff"],
)
def test_a_checkpoint_that_cannot_be_read_keeps_the_one_before(state: bytes) -> None:
    @virtual_time
    async def case() -> None:
        stage = Stage()
        stage.says(messages.Checkpoint(msgpack.packb({"people": 4})))
        stage.says(messages.Checkpoint(state))
        assert stage.call.notes.agent_state == {"people": 4}
        stage.close()

    case()


@virtual_time
async def test_a_transcript_keeps_what_was_said() -> None:
    stage = Stage()
    stage.says(messages.Said("caller", "two of us", 20.0))
    stage.says(messages.Said("agent", "Table for two", 900.0, 12.5, interrupted=True))
    assert [(line.role, line.text, line.interrupted) for line in stage.call.notes.lines] == [
        ("caller", "two of us", False),
        ("agent", "Table for two", True),
    ]
    stage.close()


@virtual_time
async def test_the_times_of_turns_are_kept_and_added_up_over_all_calls() -> None:
    stage = Stage()
    times = {"caller_stopped": 100.0, "stt_final": 300.0, "first_sent": 304.0}
    stage.says(messages.TurnTimed(1, {**times, "magic": 1.0}))
    stage.says(messages.TurnTimed(1, {"first_heard": 340.0}))
    stage.says(messages.TurnTimed(2, {"magic": 1.0}))
    (turn,) = stage.call.notes.turn_log.turns
    assert (turn.number, turn.reply_ms, turn.own_ms) == (1, 240.0, 4.0)
    measured = stage.call.notes._measurements
    assert measured.reply.buckets[-1] == measured.own.buckets[-1] == ("+Inf", 1.0)
    stage.close()


@virtual_time
async def test_a_provider_that_was_given_up_is_said_in_the_log_and_kept() -> None:
    stage = Stage()
    with capture_logs() as logs:
        stage.says(messages.ProviderTrouble("cartesia", "is out of credit", "elevenlabs"))
    (line,) = logs
    assert (line["log_level"], line["provider"], line["fallback"]) == (
        "warning",
        "cartesia",
        "elevenlabs",
    )
    (trouble,) = stage.call.notes.turn_log.troubles
    assert (trouble.provider, trouble.sentence) == ("cartesia", "is out of credit")
    assert stage.call.notes._measurements.troubles == {("cartesia", "elevenlabs"): 1}
    stage.close()


@virtual_time
async def test_providers_in_trouble_without_end_do_not_flood_the_log() -> None:
    stage = Stage()
    with capture_logs() as logs:
        for _ in range(BURST_LINES + 50):
            stage.says(messages.ProviderTrouble("cartesia", "is away"))
    assert len(logs) == BURST_LINES
    assert stage.call.notes._measurements.troubles == {("cartesia", ""): BURST_LINES + 50}
    stage.close()


# Any order -----------------------------------------------------------------------------------

_values = st.recursive(
    st.none() | st.text(max_size=3) | st.integers(-9, 9) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)
_fields = st.dictionaries(st.text(max_size=4), _values, max_size=2)
_commands = st.sampled_from(
    [
        messages.HangUp(1),
        messages.Transfer(2, "kitchen"),
        messages.Transfer(3, "nowhere"),
        messages.SendDigits(4, "12"),
        messages.SendDigits(5, "no digits"),
        messages.StartRecording(6),
        messages.Mark("m"),
        messages.Clear(),
        messages.Finished("ValueError: no"),
        messages.Running("a:A"),
        messages.TurnTimed(1, {"stt_final": 1.0, "magic": 2.0}),
        messages.ProviderTrouble("cartesia", "is away"),
        messages.Hello(99),
    ]
) | st.builds(messages.Log, st.text(max_size=9), st.text(max_size=3), _fields)

_deeds = st.lists(
    _commands
    | st.binary(max_size=4)
    | st.sampled_from([0.1, 1.0, 3.0, 11.0, 20.0])
    | st.sampled_from(
        [
            "first",
            "next",
            "next",
            "open",
            "open",
            "stop",
            "close",
            "audio",
            "crash",
            "exit",
            "watch",
            "status",
            "completed",
            "answered",
            "unanswered",
            "operator",
            "rest down",
            "rest gone",
        ]
    ),
    max_size=25,
)


class _Chaos:
    """Does anything to a call, in any order."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.streams: list[tuple[CallStream, Socket]] = []
        self.lost: list[CallStream] = []
        self.acts: dict[str, Callable[[], object]] = {
            "first": self.stage.call.answering.first,
            "next": self.stage.call.answering.next,
            "open": lambda: self.streams.append(self.stage.open_stream()),
            "stop": lambda: self.last().stream_stopped(),
            "close": self.lose_stream,
            "audio": lambda: self.last().stream_audio(b"x"),
            "crash": lambda: self.stage.worker.exit(None, 11),
            "exit": lambda: self.stage.worker.exit(0),
            "watch": lambda: self.stage.call.vigil.look(asyncio.get_running_loop().time()),
            "status": lambda: self.stage.call.status("in-progress", final=False),
            "completed": lambda: self.stage.call.status("completed", final=True),
            "answered": lambda: self.stage.call.answering.dial_ended(answered=True),
            "unanswered": lambda: self.stage.call.answering.dial_ended(answered=False),
            "operator": lambda: self.stage.call.leave(Plan.HANG_UP, "the operator"),
            "rest down": lambda: setattr(self.stage.leg, "error", DOWN),
            "rest gone": lambda: setattr(self.stage.leg, "error", GONE),
        }

    def last(self) -> CallStream:
        if not self.streams:
            self.streams.append(self.stage.open_stream())
        return self.streams[-1][0]

    def lose_stream(self) -> None:
        self.lost.append(self.last())
        self.last().stream_closed(1006, "lost")

    def open_streams(self) -> list[CallStream]:
        return [it for it, socket in self.streams if not socket.closed and it not in self.lost]

    async def do(self, deed: object) -> None:
        match deed:
            case float():
                await asyncio.sleep(deed)
            case bytes():
                self.stage.call.frame(deed)
            case str():
                self.acts[deed]()
            case _:
                self.stage.says(deed)  # type: ignore[arg-type]
        await settled(3)


@settings(deadline=None, max_examples=150)
@given(_deeds)
def test_whatever_happens_in_whatever_order_a_call_ends_once_and_leaves_nothing_open(
    deeds: list[object],
) -> None:
    @virtual_time
    async def case() -> None:
        chaos = _Chaos()
        call, worker = chaos.stage.call, chaos.stage.worker
        for deed in deeds:
            await chaos.do(deed)
            assert all(stream is call.streams.current for stream in chaos.open_streams())
            assert len(chaos.stage.over) <= 1
        call.status("completed", final=True)
        await asyncio.sleep(KILL_SECONDS + 1)
        assert call.flow.over
        assert call.streams.current is None
        if call.process is not None:
            assert worker.signals, "a process that outlives its call is killed"
        heard = worker.heard
        chaos.stage.worker.exit()
        assert chaos.stage.over == [call]
        answers = [it for it in heard if isinstance(it, messages.Reply | messages.Failure)]
        assert len(answers) <= len([deed for deed in deeds if hasattr(deed, "request")])
        assert call.answering.next() == call.answering.next()

    case()


@virtual_time
async def test_a_transfer_that_nobody_can_tell_the_carrier_of_fails_in_the_agent() -> None:
    stage = Stage(reachable=False)
    stage.open_stream()
    stage.says(messages.Transfer(1, "kitchen"))
    await asyncio.sleep(NEXT_SECONDS + 0.1)
    assert [type(event) for event in stage.worker.heard[-2:]] == [
        messages.Failure,
        messages.CallEnded,
    ]
    stage.close()


@virtual_time
async def test_a_transfer_by_rest_is_confirmed_after_the_carrier_has_taken_it() -> None:
    stage = Stage()
    stage.open_stream()
    stage.says(messages.Transfer(1, "kitchen"))
    assert messages.Reply(1) not in stage.worker.heard
    await asyncio.sleep(NEXT_SECONDS + 0.1)
    assert stage.leg.enforced == [Dial("+15005550002")]
    assert stage.worker.heard[-2] == messages.Reply(1)
    stage.close()


# A process that does too much ----------------------------------------------------------------


@virtual_time
async def test_a_process_that_says_too_much_is_heard_with_pauses() -> None:
    stage = Stage()
    beat = messages.encode(messages.Beat())
    for _ in range(MOST_FRAMES):
        stage.call.frame(beat)
    paused = stage.worker.pipe.reading
    stage.call.vigil.look(stage.call.vigil.heard_at + 1)
    assert (paused, stage.worker.pipe.reading) == (False, True)
    stage.close()


@virtual_time
async def test_an_agent_that_floods_the_log_gets_a_share_of_it() -> None:
    stage = Stage()
    with capture_logs() as lines:
        for number in range(2 * BURST_LINES):
            stage.says(messages.Log("info", f"line {number}", {}))
        assert len(lines) == BURST_LINES
        await asyncio.sleep(1)
        stage.says(messages.Log("info", "later", {}))
    assert lines[-2]["lines"] == BURST_LINES
    assert lines[-1]["event"] == "agent: later"
    stage.close()


@virtual_time
async def test_a_process_that_does_not_read_is_told_of_in_the_log_once() -> None:
    stage = Stage()
    stream, _ = stage.open_stream()
    for _ in range(1000):
        stream.stream_audio(b"\xff" * 160)
    with capture_logs() as lines:
        for second in range(3):
            stage.call.vigil.look(stage.call.vigil.heard_at + second)
    assert [line["event"] for line in lines] == [
        "call process does not read: it loses the caller's oldest audio"
    ]
    stage.close()


@virtual_time
async def test_a_process_that_is_not_forked_yet_does_not_hang() -> None:
    stage = Stage()
    stage.worker.pid = None
    stage.call.vigil.look(stage.call.vigil.heard_at + 10 * RULES.hang_seconds)
    stage.worker.pid = 4711
    stage.call.vigil.look(stage.call.vigil.heard_at + 1)
    assert (stage.worker.signals, stage.worker.dumps) == ([], 0)
    stage.close()


def test_an_answer_in_the_log_shows_neither_token_nor_keys() -> None:
    shown = str(Connect("secret-token", "1234"))
    assert "secret-token" not in shown
    assert "1234" not in shown


@virtual_time
async def test_a_transfer_of_a_caller_who_is_gone_is_not_confirmed() -> None:
    stage = Stage()
    stage.open_stream()
    stage.leg.error = GONE
    stage.says(messages.Transfer(1, "kitchen"))
    await asyncio.sleep(NEXT_SECONDS + 0.1)
    assert messages.Reply(1) not in stage.worker.heard
    failures = [event for event in stage.worker.heard if isinstance(event, messages.Failure)]
    assert [(failure.request, failure.code) for failure in failures] == [(1, "gone")]
    stage.close()


@virtual_time
async def test_a_hang_up_that_overtakes_a_transfer_is_what_the_carrier_is_told_last() -> None:
    stage = Stage()
    stage.open_stream()

    async def enforce(answer: Answer) -> None:
        stage.leg.enforced.append(answer)
        if answer == Dial("+15005550002"):
            assert stage.call.leave(Plan.HANG_UP, "the operator hung up")

    stage.leg.enforce = enforce  # type: ignore[method-assign]
    stage.says(messages.Transfer(1, "kitchen"))
    await asyncio.sleep(NEXT_SECONDS + 0.1)
    assert stage.leg.enforced == [Dial("+15005550002"), HangUp()]
    assert stage.call.flow.reason == "the operator hung up"
    stage.close()
