import multiprocessing
from contextlib import suppress
from typing import Any, get_args

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared import messages
from shared.messages import MAX_FRAME, MalformedFrameError, audio_frame, audio_of

SID = "CA" + "0" * 32

EVENTS: list[messages.Event] = [
    messages.Hello(messages.VERSION),
    messages.Metadata(SID, "AC1", "+49301", "+49302", "inbound", "r1", {"From": "ü", "": ""}),
    messages.Metadata(
        SID,
        "AC1",
        "+49301",
        "+49302",
        "inbound",
        "r1",
        {},
        company=7,
        voice=messages.VoiceAccount("key", "https://voice.example.com"),
    ),
    messages.StreamStarted("MZ1", {"name": "value"}),
    messages.MarkPlayed("0.1"),
    messages.Dtmf("#"),
    messages.TranscriptReceived("inbound_track", "Grüße 👋", final=True),
    messages.RecordingChanged("RE1", "completed", "https://example.com/RE1"),
    messages.RecordingChanged("RE1", "in-progress"),
    messages.AnsweredBy("machine_end_beep"),
    messages.CallStatus("completed"),
    messages.StreamStopped("closed with 1006"),
    messages.CallEnded("hung up", 5.0),
    messages.Reply(2**63),
    messages.Failure(1, "carrier", "it said no"),
    messages.ToolCalled(7, "book_table", '{"people": 4}'),
    messages.WarmTransferred(2, "manager", "no_answer"),
    messages.FirstMessage("Hello again, Ms Miller."),
    messages.OperatorSays("Your table is ready.", interruptible=False),
]
COMMANDS: list[messages.Command] = [
    messages.Hello(messages.VERSION),
    messages.Running("echo:Echo"),
    messages.Hear(60),
    messages.Mark("0.1"),
    messages.Clear(),
    messages.HangUp(1),
    messages.Transfer(2, "kitchen"),
    messages.TransferWarm(2, "manager", "Ada wants to complain.", 20, "de-DE"),
    messages.SendDigits(3, "12#"),
    messages.Record(3),
    messages.Record(3, on=False),
    messages.Record(3, ahead_ms=250.5),
    messages.StartRecording(4),
    messages.StopRecording(5),
    messages.DeleteRecording(6),
    messages.StartTranscription(7),
    messages.StopTranscription(8),
    messages.Emit(9, "booking", b'{"people": 2}'),
    messages.Checkpoint(b"\x81\xa1a\x01"),
    messages.Speaking("Hello"),
    messages.Said("agent", "Hello", 20.0, 3.5, interrupted=True),
    messages.Said("caller", "Hi", 0.0),
    messages.TurnTimed(3, {"stt_final": 1200.5, "first_sent": 1204.0}),
    messages.ProviderTrouble("cartesia", "is out of credit", "elevenlabs"),
    messages.ProviderTrouble("deepgram", "cannot be reached"),
    messages.KnownAs("0190-uuid"),
    messages.Join("wss://voice.example/calls/1", "ultravox", stays=True),
    messages.Join("wss://voice.example/calls/1", "ultravox", False, "Recorded.", "de"),
    messages.Relay(),
    messages.ToolReturned(7, "booked", failed=False, reaction="speaks"),
    messages.ToolReturned(8, "moved", kind="new-stage", body='{"systemPrompt": "x"}'),
    messages.ToolRan("book", '{"people": 2}', "ok", "booked", 0.25, 1200.0),
    messages.Log("info", "booked", {"people": 4, "at": None, "list": [1, 2.5, "x", True]}),
    messages.Metric("turns", 3.0),
    messages.Beat(),
    messages.Finished("ValueError: no"),
]


def _name(message: Any) -> str:
    return type(message).__name__


@pytest.mark.parametrize("event", EVENTS, ids=_name)
def test_every_event_is_read_as_it_was_written(event: messages.Event) -> None:
    assert messages.decode_event(messages.encode(event)) == event


@pytest.mark.parametrize("command", COMMANDS, ids=_name)
def test_every_command_is_read_as_it_was_written(command: messages.Command) -> None:
    assert messages.decode_command(messages.encode(command)) == command


def test_no_kind_is_left_out_of_these_tests() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(messages.Event))
    assert {type(command) for command in COMMANDS} == set(get_args(messages.Command))


def test_every_request_is_a_command_that_carries_its_number() -> None:
    assert set(get_args(messages.Request)) <= set(get_args(messages.Command))
    assert all(kind.__struct_fields__[0] == "request" for kind in get_args(messages.Request))


@pytest.mark.parametrize("event", EVENTS[1:], ids=_name)
def test_a_call_cannot_send_what_only_the_gateway_says(event: messages.Event) -> None:
    with pytest.raises(MalformedFrameError):
        messages.decode_command(messages.encode(event))


@pytest.mark.parametrize("command", COMMANDS[1:], ids=_name)
def test_a_gateway_does_not_send_what_only_a_call_says(command: messages.Command) -> None:
    with pytest.raises(MalformedFrameError):
        messages.decode_event(messages.encode(command))


def test_no_two_kinds_share_a_number_and_none_is_audios() -> None:
    kinds = set(get_args(messages.Event)) | set(get_args(messages.Command))
    tags = [kind.__struct_config__.tag for kind in kinds]
    assert len(tags) == len(set(tags))
    assert messages.AUDIO not in tags


def test_a_message_cannot_be_changed_once_it_is_made() -> None:
    with pytest.raises(AttributeError):
        messages.Dtmf("1").digit = "2"  # type: ignore[misc]


# Hostile frames ------------------------------------------------------------------------------

_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text()
    | st.binary(max_size=40)
    | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=9))
    | st.builds(msgpack.Timestamp, st.integers(-(2**40), 2**40), st.integers(0, 10**9 - 1))
)
_values = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
_almost = st.builds(lambda tag, rest: [tag, *rest], st.integers(-1, 50), st.lists(_values))


def _reads_or_refuses(frame: bytes) -> None:
    for read in (messages.decode_event, messages.decode_command, audio_of):
        with suppress(MalformedFrameError):
            read(frame)


@given(st.binary(max_size=300))
@example(b"")
@example(b"\x91" * 5000)
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\xdf\xff\xff\xff\xff")
@example(b"\x92\x1d\x81\x90\x01")
@example(b"\x92\x0d\xa3\xed\xa0\x80")
@example(b"\xd6\xff\xff\xff\xff\xff")
@example(b"\xc7\x0c\xff" + b"\xff" * 12)
def test_arbitrary_bytes_are_read_or_refused_and_never_worse(frame: bytes) -> None:
    _reads_or_refuses(frame)


@given(_values | _almost)
@example([43, "info", "x", {"a": msgpack.Timestamp(2**40, 1)}])
@example([42, "judge", "x", 1.0])
@example([44, "n", 2**64 - 1])
@example([48, 2**64 - 1, {"stt_final": 1e308}])
@example([48, 1, {"stt_final": "soon"}])
@example([10, "", "", "", "", "", "", {"a": 1}])
@example([12, "name", "one too many"])
def test_arbitrary_msgpack_is_read_or_refused_and_never_worse(value: object) -> None:
    _reads_or_refuses(msgpack.packb(value))


@given(st.sampled_from(COMMANDS), st.data())
def test_a_frame_with_a_byte_changed_is_read_or_refused(
    command: messages.Command, data: st.DataObject
) -> None:
    frame = bytearray(messages.encode(command))
    place = data.draw(st.integers(0, len(frame) - 1))
    frame[place] = data.draw(st.integers(0, 255))
    _reads_or_refuses(bytes(frame))


@pytest.mark.parametrize("key", [1, None, 1.5, (1, 2)])
def test_maps_whose_keys_are_no_text_are_refused_wherever_they_are(key: object) -> None:
    with pytest.raises(MalformedFrameError):
        messages.decode_command(msgpack.packb([43, "info", "x", {"a": [{key: 1}]}]))


@pytest.mark.parametrize("frame", [[], [None], ["31"], [31.0, "m"], [True], [[31], "m"], [99]])
def test_a_frame_of_no_kind_is_refused(frame: list[object]) -> None:
    for read in (messages.decode_event, messages.decode_command):
        with pytest.raises(MalformedFrameError, match="no kind"):
            read(msgpack.packb(frame))


# Audio ---------------------------------------------------------------------------------------

SIZES = [0, 1, 159, 160, 255, 256, 257, 65535, 65536, MAX_FRAME - 7]


@pytest.mark.parametrize("size", SIZES)
def test_audio_of_every_size_comes_back_whole(size: int) -> None:
    audio = bytes(index % 251 for index in range(size))
    assert audio_of(audio_frame(audio)) == audio


@pytest.mark.parametrize("size", SIZES)
def test_an_audio_frame_is_plain_msgpack(size: int) -> None:
    assert msgpack.unpackb(audio_frame(bytes(size))) == [messages.AUDIO, bytes(size)]


@pytest.mark.parametrize("message", [*EVENTS, *COMMANDS], ids=_name)
def test_no_other_message_is_taken_for_audio(message: Any) -> None:
    assert audio_of(messages.encode(message)) is None


@pytest.mark.parametrize("cut", [1, 3, 4, 50])
@pytest.mark.parametrize("size", [100, 300, 70_000])
def test_audio_whose_length_disagrees_is_malformed(size: int, cut: int) -> None:
    frame = audio_frame(bytes(size))
    with pytest.raises(MalformedFrameError, match="audio of"):
        audio_of(frame[:-cut])
    with pytest.raises(MalformedFrameError, match="audio of"):
        audio_of(frame + bytes(cut))


@pytest.mark.parametrize("kind", ["c4", "c5", "c6"])
def test_an_audio_head_without_its_length_is_malformed(kind: str) -> None:
    with pytest.raises(MalformedFrameError):
        audio_of(bytes.fromhex(f"9201{kind}") + b"\x01")


def test_a_plain_connection_carries_the_same_frames() -> None:
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        theirs.send_bytes(messages.encode(messages.HangUp(7)))
        theirs.send_bytes(audio_frame(b"\x7f" * 160))
        assert messages.decode_command(ours.recv_bytes()) == messages.HangUp(7)
        assert audio_of(ours.recv_bytes()) == b"\x7f" * 160
