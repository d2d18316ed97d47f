"""What a tape holds against what a carrier plays that is written here in a few plain lines."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.recording.tape import HOLD_SECONDS, MOST_AHEAD, Tape
from shared.audio import SAMPLE_RATE, SILENCE

FRAME_S = 0.02
SILENT = SILENCE[0]


def drained(tape: Tape, now: float) -> tuple[bytes, bytes]:
    """Return all that is left."""
    left = right = b""
    while (part := tape.finish(now))[0]:
        left, right = left + part[0], right + part[1]
    return left, right


def voice(samples: int, start: int = 0) -> bytes:
    """Return sound in which every sample tells its place."""
    return bytes(1 + (start + i) % 120 for i in range(samples))


# The caller --------------------------------------------------------------------------------------


def test_the_callers_frames_follow_each_other_whatever_jitter_they_come_with() -> None:
    tape = Tape(100.0)
    frames = [voice(160, n * 7) for n in range(100)]
    jitter = itertools.cycle((0.0, 0.013, 0.041, 0.002))
    for n, frame in enumerate(frames):
        tape.caller(frame, 100.0 + (n + 1) * FRAME_S + next(jitter))
    left, right = drained(tape, 100.0 + 100 * FRAME_S)
    assert left == b"".join(frames)
    assert right == SILENCE * len(left)


def test_frames_that_were_held_up_are_where_they_were_said() -> None:
    tape = Tape(0.0)
    frames = [voice(160, n * 7) for n in range(60)]
    for n, frame in enumerate(frames):
        at = (n + 1) * FRAME_S
        tape.caller(frame, 0.9 if 0.5 < at < 0.9 else at)
    left, _ = drained(tape, 1.2)
    assert left == b"".join(frames)


def test_a_gap_in_the_callers_frames_is_silence() -> None:
    tape = Tape(0.0)
    tape.caller(b"a" * 160, 0.02)
    tape.caller(b"b" * 160, 0.52)
    left, _ = drained(tape, 0.52)
    assert left == b"a" * 160 + SILENCE * (8 * 480) + b"b" * 160


def test_a_first_frame_that_came_late_is_moved_by_those_that_are_on_time() -> None:
    tape = Tape(0.0)
    tape.caller(b"a" * 160, 0.34)
    for n in range(2, 6):
        tape.caller(b"b" * 160, 0.20 + n * FRAME_S)
    left, _ = drained(tape, 0.3)
    assert left == SILENCE * 1600 + b"a" * 160 + b"b" * 640


def test_more_frames_than_time_fill_no_memory() -> None:
    tape = Tape(0.0)
    for _ in range(10_000):
        tape.caller(voice(160), 1.0)
    left, _ = drained(tape, 100.0)
    assert len(left.rstrip(SILENCE)) <= SAMPLE_RATE + MOST_AHEAD + 160


def test_a_caller_whose_clock_is_fast_is_brought_back_where_silent() -> None:
    tape = Tape(0.0)
    for n in range(1000):
        tape.caller(SILENCE * 160, n * 0.0199)
    left, _ = drained(tape, 1000 * 0.0199)
    assert abs(len(left) - 1000 * 0.0199 * SAMPLE_RATE) < 1


# The agent ---------------------------------------------------------------------------------------


def test_what_is_sent_at_once_is_heard_in_its_time() -> None:
    tape = Tape(0.0)
    tape.agent(voice(8000), 0.5)
    left, right = drained(tape, 1.0)
    assert right == SILENCE * 4000 + voice(4000)
    assert left == SILENCE * 8000


def test_what_was_cleared_was_not_heard() -> None:
    tape = Tape(0.0)
    tape.agent(voice(16000), 0.0)
    tape.clear(0.25)
    tape.agent(b"z" * 800, 0.5)
    _, right = drained(tape, 1.0)
    assert right == voice(2000) + SILENCE * 2000 + b"z" * 800 + SILENCE * 3200


def test_an_echo_shows_when_it_was_heard() -> None:
    tape = Tape(0.0)
    tape.agent(voice(160), 0.1)
    tape.mark("first", 0.1)
    tape.agent(voice(1440, 160), 0.1)
    tape.echo("first", 0.27)
    _, right = drained(tape, 0.6)
    assert right == SILENCE * 2000 + voice(1600) + SILENCE * 1200


def test_an_echo_that_is_early_again_takes_the_silence_back() -> None:
    tape = Tape(0.0)
    tape.agent(b"a" * 160, 0.0)
    tape.mark("one", 0.0)
    tape.echo("one", 0.12)
    tape.agent(b"b" * 160, 0.2)
    tape.mark("two", 0.2)
    tape.echo("two", 0.24)
    _, right = drained(tape, 0.4)
    assert right == SILENCE * 800 + b"a" * 160 + SILENCE * 800 + b"b" * 160 + SILENCE * 1280


def test_an_echo_of_what_is_written_moves_only_what_comes_behind() -> None:
    tape = Tape(0.0)
    tape.agent(voice(16000), 0.0)
    tape.mark("end", 0.0)
    _, first = tape.take(1.5)
    tape.agent(b"z" * 800, 1.9)
    tape.echo("end", 2.2)
    _, rest = drained(tape, 2.5)
    right = first + rest
    assert right[:16000] == voice(16000)
    assert right[17600:18400] == b"z" * 800


def test_echoes_of_what_was_cleared_mean_nothing() -> None:
    tape = Tape(0.0)
    tape.agent(voice(8000), 0.0)
    tape.mark("m", 0.0)
    tape.clear(0.1)
    tape.echo("m", 0.15)
    tape.echo("of another", 0.15)
    _, right = drained(tape, 0.5)
    assert right == voice(800) + SILENCE * 3200


def test_between_two_streams_there_is_silence() -> None:
    tape = Tape(0.0)
    tape.caller(b"a" * 160, 0.02)
    tape.agent(b"x" * 8000, 0.02)
    tape.closed(0.1)
    tape.closed(5.0)
    assert tape.take(4.0)[0] == b"a" * 160 + SILENCE * 640
    assert tape.take(5.0) == (b"", b"")
    tape.opened(5.9)
    tape.caller(b"b" * 160, 6.0)
    tape.closed(6.0)
    left, right = drained(tape, 60.0)
    assert left[-160:] == b"b" * 160
    assert 800 + len(left) == 48000 == 800 + len(right)


def test_what_is_heard_in_a_pause_is_silence_whenever_it_was_sent() -> None:
    tape = Tape(0.0)
    tape.agent(b"x" * 8000, 0.0)
    tape.caller(b"a" * 4000, 0.5)
    tape.mute(0.5, muted=True)
    tape.mute(0.6, muted=True)
    tape.caller(b"a" * 4000, 1.0)
    tape.agent(b"y" * 4000, 1.0)
    tape.caller(b"a" * 2000, 1.25)
    tape.mute(1.25, muted=False)
    tape.caller(b"b" * 2000, 1.5)
    left, right = drained(tape, 1.5)
    assert left == b"a" * 4000 + SILENCE * 4000 + SILENCE * 2000 + b"b" * 2000
    assert right == b"x" * 4000 + SILENCE * 6000 + b"y" * 2000


def test_a_pause_that_is_written_before_its_end_is_silence_as_well() -> None:
    tape = Tape(0.0)
    tape.mute(0.1, muted=True)
    tape.agent(b"x" * 16000, 0.0)
    assert tape.take(1.0)[1] == b"x" * 800 + SILENCE * 3200
    assert drained(tape, 1.5)[1] == SILENCE * 8000


def test_the_recording_begins_with_the_first_stream() -> None:
    tape = Tape(0.0)
    tape.closed(0.0)
    assert tape.take(20.0) == (b"", b"")
    tape.opened(20.0)
    tape.caller(b"a" * 160, 20.02)
    assert drained(tape, 20.02)[0] == b"a" * 160


def test_it_begins_behind_the_last_mark_if_that_has_just_come_back() -> None:
    tape = Tape(0.0)
    tape.agent(b"consent!" * 500, 0.0)
    tape.mark("m", 0.0)
    tape.agent(b"greeting" * 500, 0.0)
    tape.mark("n", 0.0)
    tape.echo("m", 0.6)
    tape.skip(0.605)
    assert drained(tape, 1.1)[1] == b"greeting" * 500


def test_what_was_before_the_beginning_is_skipped() -> None:
    tape = Tape(0.0)
    tape.mute(0.0, muted=True)
    tape.agent(b"x" * 4000 + b"y" * 4000, 0.0)
    tape.mark("m", 0.0)
    tape.skip(0.5)
    tape.caller(b"c" * 160, 0.51)
    left, right = drained(tape, 1.0)
    assert right == b"y" * 4000
    assert left == b"c" * 160 + SILENCE * 3840


# Against a carrier -------------------------------------------------------------------------------


@dataclass
class Carrier:
    """Plays what it is sent; counts in samples, and what it played is at its place."""

    played: dict[int, int] = field(default_factory=dict)
    queue: list[tuple[int, int]] = field(default_factory=list)
    ends: int = 0

    def play(self, audio: bytes, at: int) -> None:
        start = max(self.ends, at)
        self.queue += [(start + i, sample) for i, sample in enumerate(audio)]
        self.ends = start + len(audio)

    def clear(self, at: int) -> None:
        self.queue = [(place, sample) for place, sample in self.queue if place < at]
        self.ends = min(self.ends, at)

    def track(self, size: int) -> bytes:
        sound = dict(self.queue)
        return bytes(sound.get(place, SILENT) for place in range(size))


STEP = 160
ORDERS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(1, 60)),
        st.tuples(st.just("play"), st.integers(1, 5000)),
        st.tuples(st.just("clear"), st.just(0)),
        st.tuples(st.just("mark"), st.just(0)),
        st.tuples(st.just("take"), st.just(0)),
    ),
    max_size=60,
)


@given(ORDERS, st.integers(0, 10))
def test_the_agents_side_is_what_the_carrier_played(
    orders: list[tuple[str, int]], round_trip: int
) -> None:
    """Its way there and back takes ``round_trip`` frames; the first echo shows that."""
    lag, carrier, tape = round_trip * STEP, Carrier(), Tape(0.0)
    now = places = 0
    echoes: list[tuple[int, str]] = []
    right = b""

    def pass_until(then: int) -> None:
        nonlocal now
        for at, name in [echo for echo in echoes if echo[0] <= then]:
            tape.echo(name, at / SAMPLE_RATE)
            echoes.remove((at, name))
        now = then

    for order, much in [("play", 160), ("mark", 0), ("wait", 20), *orders]:
        if order == "wait":
            pass_until(now + much * STEP)
        elif order == "play":
            # Nothing that the carrier plays begins a bit of a frame after the last: that is jitter.
            audio = voice(-(-much // STEP) * STEP, places)
            places += much
            carrier.play(audio, now + lag)
            tape.agent(audio, now / SAMPLE_RATE)
        elif order == "clear":
            carrier.clear(now + lag)
            tape.clear(now / SAMPLE_RATE)
            echoes = [(max(now + lag, 0), name) for _, name in echoes]
        elif order == "mark":
            name = f"{len(echoes)} at {now} {places}"
            tape.mark(name, now / SAMPLE_RATE)
            echoes.append((max(carrier.ends, now + lag), name))
        else:
            right += tape.take(now / SAMPLE_RATE)[1]
    pass_until(now + 100 * STEP)
    right += drained(tape, now / SAMPLE_RATE)[1]
    assert right == carrier.track(now)


@given(ORDERS, st.integers(0, 10), st.lists(st.floats(0, 0.09), min_size=1, max_size=20))
def test_whatever_happens_both_sides_are_as_long_as_the_call(
    orders: list[tuple[str, int]], round_trip: int, jitters: list[float]
) -> None:
    tape, jitter = Tape(5.0), itertools.cycle(jitters)
    now, size, marks = 5.0, 0, 0
    for order, much in orders:
        if order == "wait":
            for _ in range(much):
                now += FRAME_S
                tape.caller(voice(STEP), now + next(jitter) / 3)
        elif order == "play":
            tape.agent(voice(much), now)
        elif order == "clear":
            tape.clear(now)
        elif order == "mark":
            marks += 1
            tape.mark(str(marks), now)
            tape.echo(str(max(1, marks - round_trip)), now + next(jitter))
        else:
            left, right = tape.take(now)
            assert len(left) == len(right)
            size += len(left)
            assert size <= max(0.0, round((now - 5.0 - HOLD_SECONDS) * SAMPLE_RATE))
    left, right = drained(tape, now)
    assert len(left) == len(right)
    assert size + len(left) == pytest.approx((now - 5.0) * SAMPLE_RATE, abs=1)


# Begun in the middle of speech -------------------------------------------------------------------


def test_what_comes_after_speech_that_nobody_listened_to_lies_behind_it() -> None:
    tape = Tape(0.0)
    tape.queued(0.0, 3000.0)
    tape.skip(0.0)
    tape.agent(b"n" * 800, 0.5)
    tape.caller(b"c" * 160, 0.02)
    early = tape.take(2.0)
    assert early[1] == SILENCE * len(early[1])
    _, right = drained(tape, 3.2)
    assert early[1] + right == SILENCE * 24_000 + b"n" * 800 + SILENCE * 800


def test_speech_that_nobody_listened_to_is_cut_as_any_other() -> None:
    tape = Tape(0.0)
    tape.queued(0.0, 3000.0)
    tape.skip(0.0)
    tape.agent(b"n" * 800, 0.5)
    tape.clear(1.0)
    tape.agent(b"m" * 800, 1.5)
    _, right = drained(tape, 2.0)
    assert right == SILENCE * 12_000 + b"m" * 800 + SILENCE * 3200


# Heard, and over at once -------------------------------------------------------------------------


@pytest.mark.parametrize("end", [Tape.closed, Tape.clear])
def test_what_a_mark_has_told_to_be_heard_is_whole_whatever_comes_at_once(
    end: Callable[[Tape, float], None],
) -> None:
    tape = Tape(0.0)
    tape.agent(b"a" * 800, 0.0)
    tape.mark("1", 0.0)
    tape.echo("1", 0.14)  # there and back takes 40 ms
    tape.agent(b"b" * 8000, 1.0)
    tape.mark("2", 1.0)
    taken = tape.take(1.9)[1]
    tape.echo("2", 2.03)  # and 10 ms less this time, when half of it cannot be moved any more
    end(tape, 1.99 if end is Tape.clear else 2.03)
    assert (taken + drained(tape, 2.5)[1]).count(b"b") == 8000
