from hypothesis import given
from hypothesis import strategies as st

from shared.audio import FRAME_MS, ms_of_bytes
from worker.tape import KEPT_MS, LEAD_MS, TAIL_MS, Tape

FRAME = FRAME_MS / 1000


class Line:
    """Audio whose every 20 ms says which they are, at 50 frames a second."""

    def __init__(self) -> None:
        self.tape, self.now, self.frames = Tape(), 100.0, 0

    def passes(self, seconds: float) -> None:
        for _ in range(round(seconds / FRAME)):
            self.now += FRAME
            self.comes()

    def comes(self) -> None:
        self.tape.posted(bytes([self.frames % 251]) * 160, self.now)
        self.frames += 1

    def first(self, audio: bytes) -> float:
        """Return how long ago the audio begins, if it is of the last five seconds."""
        ago = (self.frames - 1 - audio[0]) % 251 + 1
        return round(ago * FRAME, 2)


def test_a_turn_has_what_was_said_and_some_of_what_was_around_it() -> None:
    line = Line()
    line.passes(3)
    began = line.now
    line.passes(2)
    audio = line.tape.turn(began, 4500)
    assert abs(ms_of_bytes(len(audio)) - (1500 + LEAD_MS + TAIL_MS)) <= FRAME_MS + 1
    assert abs(line.first(audio) - 3.0) < 0.05


def test_without_a_place_a_turn_goes_on_until_now() -> None:
    line = Line()
    line.passes(3)
    began = line.now
    line.passes(1)
    assert abs(ms_of_bytes(len(line.tape.turn(began, None))) - (1000 + LEAD_MS)) <= FRAME_MS + 1


def test_what_is_a_turns_already_is_not_the_next_ones_too() -> None:
    line = Line()
    line.passes(2)
    began = line.now
    line.passes(1)
    assert line.tape.so_far(began) == line.tape.so_far(began)
    line.tape.turn(began, None)
    line.passes(0.1)
    again = line.now
    line.passes(1)
    assert abs(ms_of_bytes(len(line.tape.turn(again, None))) - 1100) <= FRAME_MS + 1


def test_a_long_turn_has_its_last_part() -> None:
    line = Line()
    began = line.now
    line.passes(60)
    assert ms_of_bytes(len(line.tape.turn(began, None))) == KEPT_MS


def test_other_ears_count_anew() -> None:
    line = Line()
    line.passes(5)
    line.tape.restart()
    line.passes(2)
    began = line.now
    line.passes(2)
    audio = line.tape.turn(began, 3000)
    assert abs(ms_of_bytes(len(audio)) - (1000 + LEAD_MS + TAIL_MS)) <= FRAME_MS + 1


def test_audio_that_comes_late_and_all_at_once_is_not_missed() -> None:
    line = Line()
    line.passes(2)
    line.now += 3
    for _ in range(150):
        line.comes()
    began = line.now
    assert ms_of_bytes(len(line.tape.turn(began, None))) >= 3000


def test_where_no_audio_came_for_a_while_nothing_is_lost() -> None:
    line = Line()
    line.passes(2)
    line.now += 30
    began = line.now - 0.01
    line.passes(1)
    assert ms_of_bytes(len(line.tape.turn(began, None))) >= 1000


@given(
    st.lists(st.tuples(st.integers(0, 900), st.floats(0, 3)), max_size=40),
    st.floats(-50, 200),
    st.one_of(st.none(), st.floats(0, 1e6)),
)
def test_no_audio_is_given_twice_and_never_more_than_is_kept(
    posts: list[tuple[int, float]], began: float, at_ms: float | None
) -> None:
    tape, now, total = Tape(), 0.0, 0
    for size, seconds in posts:
        now += seconds
        tape.posted(bytes(size), now)
        total += size
    first, second = tape.turn(began, at_ms), tape.turn(began, None)
    assert len(first) + len(second) <= total
    assert len(tape.turn(began, None)) == 0
