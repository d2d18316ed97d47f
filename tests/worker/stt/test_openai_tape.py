from hypothesis import given
from hypothesis import strategies as st

from worker.stt.openai_tape import BATCH_BYTES, MOST_BATCH_BYTES, Commit, Tape


def sound(size: int, start: int = 0) -> bytes:
    return bytes((start + at) % 251 for at in range(size))


def sent(tape: Tape) -> list[bytes | str]:
    pieces: list[bytes | str] = []
    while (piece := tape.next()) is not None:
        pieces.append("commit" if isinstance(piece, Commit) else piece)
    return pieces


def test_audio_is_sent_in_batches() -> None:
    tape = Tape(100_000)
    tape.add(sound(BATCH_BYTES - 1))
    assert sent(tape) == []
    tape.add(sound(1))
    assert tape.is_ready
    assert [len(piece) for piece in sent(tape)] == [BATCH_BYTES]
    tape.add(sound(MOST_BATCH_BYTES + BATCH_BYTES))
    assert [len(piece) for piece in sent(tape)] == [MOST_BATCH_BYTES, BATCH_BYTES]


def test_a_commit_follows_all_audio_before_it() -> None:
    tape = Tape(100_000)
    tape.add(sound(100))
    tape.mark()
    tape.add(sound(50))
    assert sent(tape) == [sound(100), "commit"]
    tape.mark()
    assert sent(tape) == [sound(50), "commit"]


def test_what_was_answered_is_not_sent_again_and_all_else_is() -> None:
    tape = Tape(100_000)
    for number in range(3):
        tape.add(sound(100, number))
        tape.mark()
    sent(tape)
    tape.committed("a", by_us=True, end_ms=None)
    tape.committed("b", by_us=True, end_ms=None)
    tape.answered("a")
    tape.rewind()
    assert sent(tape) == [sound(100, 1), "commit", sound(100, 2), "commit"]


def test_an_answer_out_of_order_waits_for_the_one_before() -> None:
    tape = Tape(100_000)
    tape.add(sound(8000))
    sent(tape)
    tape.committed("a", by_us=False, end_ms=400)
    tape.committed("b", by_us=False, end_ms=900)
    tape.answered("b")
    assert tape.start == 0
    tape.answered("a")
    assert tape.start == 7200


def test_a_new_connection_counts_from_its_own_beginning() -> None:
    tape = Tape(100_000)
    tape.add(sound(8000))
    sent(tape)
    tape.committed("a", by_us=False, end_ms=500)
    tape.answered("a")
    tape.rewind()
    assert tape.base == 4000
    sent(tape)
    tape.committed("b", by_us=False, end_ms=250)
    tape.answered("b")
    assert tape.start == 6000


def test_too_much_loses_the_oldest() -> None:
    tape = Tape(1000)
    tape.add(sound(900))
    tape.mark()
    tape.add(sound(900, 7))
    assert (tape.start, tape.end) == (800, 1800)
    assert sent(tape) == [sound(900)[800:], "commit", sound(900, 7)]


def test_a_refused_commit_is_not_sent_again() -> None:
    tape = Tape(1000)
    tape.add(sound(10))
    tape.mark()
    assert sent(tape) == [sound(10), "commit"]
    tape.refused()
    tape.rewind()
    assert sent(tape) == []


STEPS = st.lists(
    st.one_of(
        st.integers(0, 900),
        st.sampled_from(["mark", "send", "answer", "refuse", "rewind", "forget"]),
    ),
    max_size=60,
)


@given(STEPS)
def test_nothing_is_kept_beyond_the_limit_or_sent_out_of_order(steps: list[int | str]) -> None:
    tape = Tape(1500)
    items = 0
    for step in steps:
        before = tape.sent
        match step:
            case int():
                tape.add(sound(step))
            case "mark":
                tape.mark()
            case "send":
                sent(tape)
                assert tape.sent >= before
                assert tape.end - tape.sent < BATCH_BYTES
            case "answer":
                items += 1
                tape.committed(str(items), by_us=True, end_ms=None)
                tape.answered(str(items))
            case "refuse":
                tape.refused()
            case "rewind":
                tape.rewind()
            case _:
                tape.forget(tape.sent - 100)
        assert tape.end - 1500 <= tape.start <= tape.sent <= tape.end
