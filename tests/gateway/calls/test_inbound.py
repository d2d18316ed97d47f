import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.calls.inbound import Inbound
from shared import messages
from shared.messages import MAX_BATCH_MS
from tests.gateway.calls.actors import Stage
from tests.virtual_time import virtual_time


class Outlet:
    """A pipe that notes what is sent."""

    def __init__(self) -> None:
        self.frames: list[tuple[bytes, bool]] = []

    def send(self, frame: bytes, droppable: bool = False) -> None:
        self.frames.append((frame, droppable))

    @property
    def audio(self) -> list[bytes]:
        """What was sent, in audio only."""
        return [it for frame, _ in self.frames if (it := messages.audio_of(frame)) is not None]


def inbound() -> tuple[Inbound, Outlet]:
    made, outlet = Inbound(), Outlet()
    made.connect(outlet)
    return made, outlet


def frame(number: int) -> bytes:
    return bytes((number % 256,)) * 160


def test_audio_goes_on_as_it_comes_unless_the_call_has_asked_for_batches() -> None:
    made, outlet = inbound()
    for number in range(3):
        made.audio(frame(number))
    assert outlet.audio == [frame(0), frame(1), frame(2)]


def test_audio_comes_in_the_batches_that_were_asked_for_and_may_be_dropped() -> None:
    made, outlet = inbound()
    made.gather(60)
    for number in range(7):
        made.audio(frame(number))
    assert outlet.audio == [frame(0) + frame(1) + frame(2), frame(3) + frame(4) + frame(5)]
    assert all(droppable for _, droppable in outlet.frames)


def test_an_event_comes_behind_all_audio_before_it() -> None:
    made, outlet = inbound()
    made.gather(100)
    made.audio(frame(1))
    made.event(messages.Dtmf("5"))
    made.audio(frame(2))
    made.event(messages.StreamStopped("gone"))
    assert outlet.frames == [
        (messages.audio_frame(frame(1)), True),
        (messages.encode(messages.Dtmf("5")), False),
        (messages.audio_frame(frame(2)), True),
        (messages.encode(messages.StreamStopped("gone")), False),
    ]


def test_asking_for_another_size_loses_nothing() -> None:
    made, outlet = inbound()
    made.gather(100)
    made.audio(frame(1))
    made.gather(20)
    made.audio(frame(2))
    assert outlet.audio == [frame(1), frame(2)]


def test_nobody_hears_before_there_is_a_process() -> None:
    made = Inbound()
    made.gather(100)
    made.audio(frame(1))
    made.event(messages.Dtmf("5"))
    outlet = Outlet()
    made.connect(outlet)
    made.event(messages.Dtmf("6"))
    assert outlet.frames == [(messages.encode(messages.Dtmf("6")), False)]


@given(
    st.lists(
        st.one_of(
            st.binary(min_size=1, max_size=400),
            st.integers(20, MAX_BATCH_MS),
            st.sampled_from("0123456789"),
        ),
        max_size=60,
    )
)
def test_whatever_comes_keeps_its_order_and_little_is_held_back(
    happenings: list[bytes | int | str],
) -> None:
    made, outlet = inbound()
    batch_ms, said = 20, b""
    for it in happenings:
        if isinstance(it, bytes):
            made.audio(it)
            said += it
        elif isinstance(it, int):
            batch_ms = it
            made.gather(it)
        else:
            made.event(messages.Dtmf(it))
            said += it.encode()
        sent = b"".join(map(_content, outlet.frames))
        assert said.startswith(sent)
        assert len(said) - len(sent) < max(161, batch_ms * 8)
        if isinstance(it, str):
            assert sent == said


def _content(sent: tuple[bytes, bool]) -> bytes:
    frame, _ = sent
    audio = messages.audio_of(frame)
    if audio is not None:
        return audio
    event = messages.decode_event(frame)
    assert isinstance(event, messages.Dtmf)
    return event.digit.encode()


# In a call -----------------------------------------------------------------------------------


@virtual_time
async def test_a_call_that_asks_gets_batches_and_keys_marks_and_the_end_in_their_place() -> None:
    stage = Stage()
    stage.says(messages.Hear(60))
    stream, _ = stage.open_stream()
    for number in range(4):
        stream.stream_audio(frame(number))
    stream.stream_dtmf("5")
    stream.stream_audio(frame(4))
    stream.stream_mark("0.1")
    stream.stream_audio(frame(5))
    stream.stream_stopped()
    stream.stream_closed(1000, "")
    assert stage.worker.heard[2:] == [
        messages.StreamStarted("MZ1", {"a": "b"}),
        frame(0) + frame(1) + frame(2),
        frame(3),
        messages.Dtmf("5"),
        frame(4),
        messages.MarkPlayed("0.1"),
        frame(5),
        messages.StreamStopped("closed with 1000"),
    ]
    stage.close()


@virtual_time
async def test_a_new_stream_goes_on_with_the_same_batches() -> None:
    stage = Stage()
    first, _ = stage.open_stream()
    stage.says(messages.Hear(40))
    first.stream_audio(frame(1))
    second, _ = stage.open_stream()
    first.stream_audio(frame(2))
    second.stream_audio(frame(3))
    second.stream_audio(frame(4))
    heard = stage.worker.heard[3:]
    assert [it for it in heard if isinstance(it, bytes)] == [frame(1), frame(3) + frame(4)]
    stage.close()


@pytest.mark.parametrize("batch_ms", [0, 19, MAX_BATCH_MS + 1, 10**9])
@virtual_time
async def test_a_batch_that_no_call_needs_is_nonsense_and_ends_that_call(batch_ms: int) -> None:
    stage = Stage()
    stage.says(messages.Hear(batch_ms))
    assert stage.worker.signals == [9]
    stage.close()
