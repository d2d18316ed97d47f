import asyncio
import multiprocessing
import socket
import struct
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.messages import MAX_FRAME
from shared.pipe import RING_BYTES, Frames, Pipe, PipeProtocolError

LONG = 30.0


class End:
    """A `Pipe` that writes down what it hears; the other end is a plain ``Connection``."""

    def __init__(self, ring_bytes: int = RING_BYTES, kept_frames: int = 2000) -> None:
        ours, self.other = multiprocessing.Pipe(duplex=True)
        self.heard: list[bytes] = []
        self.closed: list[Exception | None] = []
        self.over = asyncio.Event()
        self.got = asyncio.Event()
        self.pipe = Pipe(ours, self.frame, self.lost, ring_bytes, kept_frames)

    def frame(self, frame: bytes) -> None:
        self.heard.append(frame)
        self.got.set()

    def lost(self, error: Exception | None) -> None:
        self.closed.append(error)
        self.over.set()

    async def until(self, count: int) -> list[bytes]:
        async with asyncio.timeout(LONG):
            while len(self.heard) < count:
                self.got.clear()
                await self.got.wait()
        return self.heard

    async def until_closed(self) -> Exception | None:
        async with asyncio.timeout(LONG):
            await self.over.wait()
        return self.closed[0]

    def fill(self) -> int:
        """Send frames until one has to wait; return how many went out whole."""
        while not self.pipe.statistics().waiting:
            self.pipe.send(b"x" * 160)
        return self.pipe.statistics().sent

    async def read_all(self) -> list[bytes]:
        """Read at the other end until the pipe's end was closed."""
        return await asyncio.to_thread(lambda: list(_frames_of(self.other)))


def _frames_of(connection: Connection) -> Iterator[bytes]:
    try:
        while True:
            yield connection.recv_bytes()
    except (EOFError, ConnectionResetError):
        return


@pytest.fixture
async def end() -> Iterator[End]:  # type: ignore[misc]
    made = End()
    yield made
    made.pipe.close()
    made.other.close()


def _wire(frames: list[bytes]) -> bytes:
    return b"".join(struct.pack("!i", len(frame)) + frame for frame in frames)


# Framing -------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=60), max_size=12), st.lists(st.integers(1, 50), min_size=1))
def test_frames_come_out_whole_however_the_bytes_are_cut(
    frames: list[bytes], cuts: list[int]
) -> None:
    reader, wire, out, turn = Frames(), _wire(frames), list[bytes](), 0
    while wire:
        size = cuts[turn % len(cuts)]
        out += reader.feed(wire[:size])
        wire, turn = wire[size:], turn + 1
    assert out == frames


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_framed_or_refused_and_never_worse(data: bytes) -> None:
    try:
        frames = Frames().feed(data)
    except PipeProtocolError:
        assert any(data[at : at + 4] > MAX_FRAME.to_bytes(4, "big") for at in range(len(data)))
    else:
        assert data.startswith(_wire(frames))


def test_the_largest_frame_is_read_and_one_byte_more_is_not() -> None:
    assert len(Frames().feed(_wire([bytes(MAX_FRAME)]))[0]) == MAX_FRAME
    with pytest.raises(PipeProtocolError, match=str(MAX_FRAME + 1)):
        Frames().feed(struct.pack("!I", MAX_FRAME + 1))


def test_a_length_beyond_the_limit_is_refused_before_its_bytes_come() -> None:
    with pytest.raises(PipeProtocolError):
        Frames().feed(b"\xff\xff\xff\xff")


# With a plain Connection at the other end ----------------------------------------------------


async def test_a_plain_connection_reads_what_the_pipe_writes(end: End) -> None:
    for frame in (b"one", b"", b"x" * 5000):
        end.pipe.send(frame)
    assert [end.other.recv_bytes() for _ in range(3)] == [b"one", b"", b"x" * 5000]


async def test_the_pipe_reads_what_a_plain_connection_writes(end: End) -> None:
    frames = [b"one", b"", b"x" * 5000, b"last"]

    def write() -> None:
        for frame in frames:
            end.other.send_bytes(frame)

    await asyncio.to_thread(write)
    assert await end.until(4) == frames


async def test_a_frame_far_larger_than_the_kernels_buffer_goes_through_both_ways(end: End) -> None:
    large = bytes(range(256)) * 4000
    end.pipe.send(large)
    assert await asyncio.to_thread(end.other.recv_bytes) == large
    await asyncio.to_thread(end.other.send_bytes, large)
    assert await end.until(1) == [large]


async def test_bytes_that_come_one_at_a_time_make_the_same_frames(end: End) -> None:
    raw = socket.socket(fileno=end.other.fileno())
    try:
        for byte in _wire([b"ab", b"c"]):
            raw.send(bytes([byte]))
            await asyncio.sleep(0)
        assert await end.until(2) == [b"ab", b"c"]
    finally:
        raw.detach()


# The end -------------------------------------------------------------------------------------


async def test_the_other_side_going_away_is_told_once_and_without_an_error(end: End) -> None:
    end.other.close()
    assert await end.until_closed() is None
    end.pipe.send(b"into the void")
    end.pipe.finish()
    await asyncio.sleep(0)
    assert end.closed == [None]


async def test_what_was_written_before_the_end_is_heard_before_the_end(end: End) -> None:
    end.other.send_bytes(b"last words")
    end.other.close()
    await end.until_closed()
    assert end.heard == [b"last words"]


async def test_a_writer_that_meets_a_closed_end_tells_it_once(end: End) -> None:
    end.pipe.pause_reading()
    end.other.close()
    for _ in range(5):
        end.pipe.send(b"x")
    assert len(end.closed) == 1
    assert isinstance(end.closed[0], OSError)


async def test_last_words_are_read_though_a_write_finds_the_other_side_gone_first(
    end: End,
) -> None:
    end.pipe.send(b"never read by the other side")
    end.other.send_bytes(b"last words")
    end.other.close()
    end.pipe.send(b"too late")
    assert await end.until_closed() is None
    assert end.heard == [b"last words"]
    assert len(end.closed) == 1


async def test_an_oversized_frame_breaks_the_pipe_once_and_says_why(end: End) -> None:
    raw = socket.socket(fileno=end.other.fileno())
    try:
        raw.send(_wire([b"good"]) + b"\x7f\xff\xff\xff" + b"more" * 50)
        error = await end.until_closed()
    finally:
        raw.detach()
    assert isinstance(error, PipeProtocolError)
    assert error.size == 0x7FFFFFFF
    await asyncio.sleep(0)
    assert len(end.closed) == 1


async def test_closing_here_tells_nobody_here_and_may_be_done_twice(end: End) -> None:
    end.pipe.close()
    end.pipe.close()
    end.pipe.send(b"x")
    end.pipe.pause_reading()
    end.pipe.resume_reading()
    assert end.closed == []
    with pytest.raises(EOFError):
        end.other.recv_bytes()


async def test_nothing_is_heard_any_more_once_a_listener_has_closed_the_pipe(end: End) -> None:
    heard: list[bytes] = []

    def close_at_once(frame: bytes) -> None:
        heard.append(frame)
        end.pipe.close()

    end.pipe._on_frame = close_at_once
    raw = socket.socket(fileno=end.other.fileno())
    raw.send(_wire([b"first", b"second", b"third"]))
    raw.detach()
    for _ in range(5):
        await asyncio.sleep(0)
    assert heard == [b"first"]


async def test_a_listener_may_answer_from_within_a_callback(end: End) -> None:
    end.pipe._on_frame = lambda frame: end.pipe.send(b"re: " + frame)
    end.other.send_bytes(b"hello")
    assert await asyncio.to_thread(end.other.recv_bytes) == b"re: hello"


# A reader that does not read -----------------------------------------------------------------


async def test_the_kernel_holds_no_more_than_about_a_second_of_audio(end: End) -> None:
    assert end.fill() * 20 <= 1000


async def test_the_oldest_audio_goes_first_and_is_counted() -> None:
    end = End(ring_bytes=150 * 8)
    end.fill()
    waiting = end.pipe.statistics().waiting
    for number in range(200):
        end.pipe.send(b"a%03d" % number, droppable=True)
    seen = end.pipe.statistics()
    assert seen.dropped == 50
    assert seen.waiting == waiting + 150
    reading = asyncio.create_task(end.read_all())
    await end.pipe.drained()
    end.pipe.close()
    audio = [frame for frame in await reading if frame.startswith(b"a")]
    assert audio == [b"a%03d" % number for number in range(50, 200)]
    end.other.close()


async def test_batches_of_audio_wait_no_longer_than_single_frames_do(end: End) -> None:
    end.fill()
    for _ in range(100):
        end.pipe.send(bytes(800), droppable=True)
    assert end.pipe.statistics().waiting <= 2 + 3.2 * 8000 / 800
    assert end.closed == []


async def test_frames_that_were_sent_or_dropped_leave_room_for_others() -> None:
    end = End(ring_bytes=1000, kept_frames=20)
    for _ in range(20):
        end.fill()
        for _ in range(10):
            end.pipe.send(b"c")
            end.pipe.send(bytes(150), droppable=True)
        reading = asyncio.create_task(asyncio.to_thread(end.other.recv_bytes))
        while end.pipe.statistics().waiting:
            await reading
            reading = asyncio.create_task(asyncio.to_thread(end.other.recv_bytes))
        end.pipe.send(b"the reader's last")
        await reading
        while await asyncio.to_thread(end.other.poll, 0):
            end.other.recv_bytes()
    assert end.closed == []
    end.pipe.close()
    end.other.close()


async def test_control_frames_are_never_dropped_and_keep_their_place(end: End) -> None:
    end.fill()
    for number in range(300):
        end.pipe.send(b"a%03d" % number, droppable=True)
        if number % 10 == 0:
            end.pipe.send(b"c%03d" % number)
    reading = asyncio.create_task(end.read_all())
    await end.pipe.drained()
    end.pipe.close()
    got = [frame for frame in await reading if frame[:1] in b"ac"]
    assert [f for f in got if f[:1] == b"c"] == [b"c%03d" % n for n in range(0, 300, 10)]
    numbers = [int(frame[1:]) for frame in got if frame[:1] == b"a" or int(frame[1:]) >= 150]
    assert numbers == sorted(numbers)


async def test_a_frame_that_has_begun_to_go_out_is_never_dropped() -> None:
    end = End(ring_bytes=12)
    large = b"A" * 100_000
    end.pipe.send(large, droppable=True)
    for number in range(50):
        end.pipe.send(b"%d" % number, droppable=True)
    reading = asyncio.create_task(end.read_all())
    await end.pipe.drained()
    end.pipe.close()
    assert await reading == [large, b"48", b"49"]
    end.other.close()


async def test_nothing_grows_for_a_reader_that_never_reads(end: End) -> None:
    for _ in range(20_000):
        end.pipe.send(b"x" * 160, droppable=True)
    assert end.pipe.statistics().waiting <= 1 + RING_BYTES // 164
    assert end.closed == []


async def test_too_many_control_frames_for_a_reader_that_stopped_break_the_pipe_once() -> None:
    end = End(kept_frames=20)
    for _ in range(1000):
        end.pipe.send(b"c" * 160)
    assert [type(error) for error in end.closed] == [BufferError]
    end.other.close()


async def test_every_frame_given_is_sent_or_dropped_or_waiting(end: End) -> None:
    for given_so_far in range(1, 600):
        end.pipe.send(b"x" * 160, droppable=True)
        seen = end.pipe.statistics()
        assert seen.sent + seen.dropped + seen.waiting == given_so_far
    reading = asyncio.create_task(end.read_all())
    await end.pipe.drained()
    seen = end.pipe.statistics()
    assert (seen.sent + seen.dropped, seen.waiting) == (599, 0)
    end.pipe.close()
    assert len(await reading) == seen.sent


async def test_received_frames_are_counted(end: End) -> None:
    for _ in range(7):
        end.other.send_bytes(b"x")
    await end.until(7)
    assert end.pipe.statistics().received == 7


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3000)), max_size=200))
def test_whatever_is_sent_arrives_whole_in_order_and_control_entirely(
    plan: list[tuple[bool, int]],
) -> None:
    async def case() -> None:
        end = End(ring_bytes=5000, kept_frames=10_000)
        given_frames = []
        for number, (droppable, size) in enumerate(plan):
            frame = number.to_bytes(4, "big") + bytes([droppable]) * size
            given_frames.append((frame, droppable))
            end.pipe.send(frame, droppable)
        reading = asyncio.create_task(end.read_all())
        await end.pipe.drained()
        end.pipe.close()
        got = await reading
        end.other.close()
        numbers = [int.from_bytes(frame[:4], "big") for frame in got]
        assert numbers == sorted(numbers)
        assert all(frame == given_frames[n][0] for frame, n in zip(got, numbers, strict=True))
        kept = [frame for frame, droppable in given_frames if not droppable]
        assert [f for f, n in zip(got, numbers, strict=True) if not plan[n][0]] == kept

    asyncio.run(case())


# Waiting, pausing, finishing -----------------------------------------------------------------


async def test_drained_returns_at_once_when_nothing_waits(end: End) -> None:
    end.pipe.send(b"x")
    await end.pipe.drained()


async def test_drained_returns_when_the_reader_has_read_for_everyone_who_waits(end: End) -> None:
    end.fill()
    waits = [asyncio.create_task(end.pipe.drained()) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(wait.done() for wait in waits)
    reading = asyncio.create_task(end.read_all())
    async with asyncio.timeout(LONG):
        await asyncio.gather(*waits)
    end.pipe.close()
    await reading


async def test_drained_returns_when_the_pipe_is_closed(end: End) -> None:
    end.fill()
    wait = asyncio.create_task(end.pipe.drained())
    await asyncio.sleep(0)
    end.pipe.close()
    async with asyncio.timeout(LONG):
        await wait


async def test_one_who_gives_up_waiting_does_not_disturb_the_others(end: End) -> None:
    end.fill()
    first, second = (asyncio.create_task(end.pipe.drained()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    end.pipe.close()
    async with asyncio.timeout(LONG):
        await second
    assert first.cancelled()


async def test_a_paused_pipe_hears_nothing_until_it_is_resumed(end: End) -> None:
    end.pipe.pause_reading()
    end.pipe.pause_reading()
    end.other.send_bytes(b"later")
    for _ in range(5):
        await asyncio.sleep(0)
    assert end.heard == []
    end.pipe.resume_reading()
    end.pipe.resume_reading()
    assert await end.until(1) == [b"later"]


async def test_finish_reads_what_is_there_and_does_not_wait(end: End) -> None:
    for number in range(20):
        end.other.send_bytes(b"%d" % number)
    end.pipe.finish()
    assert end.heard == [b"%d" % number for number in range(20)]
    assert end.closed == []


async def test_finish_reads_a_dead_writers_last_frame_and_then_its_end(end: End) -> None:
    end.other.send_bytes(b"goodbye")
    end.other.close()
    end.pipe.finish()
    assert (end.heard, end.closed) == ([b"goodbye"], [None])


async def test_finish_returns_even_if_somebody_goes_on_writing(end: End) -> None:
    stop = threading.Event()
    raw = socket.socket(fileno=end.other.fileno())
    raw.settimeout(0.2)

    def flood() -> None:
        wire = _wire([b"x" * 16_000])
        while not stop.is_set():
            try:
                raw.sendall(wire)
            except OSError:
                return

    writer = threading.Thread(target=flood)
    writer.start()
    try:
        await end.until(1)
        end.pipe.finish()
        assert len(end.heard) < 10_000
    finally:
        stop.set()
        writer.join()
        raw.detach()
