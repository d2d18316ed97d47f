from hypothesis import given
from hypothesis import strategies as st

from shared.speech.words import Mark, Word, words_of

RATE = 1000  # a sample is a millisecond
SOUND = b"\x10\x10"
QUIET = b"\0\0"


def test_a_word_lasts_from_its_mark_to_the_next() -> None:
    words = words_of("Good evening", [Mark(0, 0), Mark(5, 300)], SOUND * 800, RATE)
    assert words == (Word("Good", 0, 300), Word("evening", 300, 800))


def test_marks_inside_a_word_are_its_own() -> None:
    marks = [Mark(0, 0), Mark(1, 100), Mark(4, 200), Mark(7, 500)]
    words = words_of("$12.50 please", marks, SOUND * 900, RATE)
    assert words == (Word("$12.50", 0, 500), Word("please", 500, 900))


def test_words_said_in_one_breath_share_its_time_by_their_letters() -> None:
    words = words_of("of the end", [Mark(0, 0), Mark(7, 500)], SOUND * 800, RATE)
    assert words == (Word("of", 0, 200), Word("the", 200, 500), Word("end", 500, 800))


def test_a_pause_belongs_to_no_word() -> None:
    pcm = SOUND * 300 + QUIET * 200 + SOUND * 100 + QUIET * 400
    words = words_of("Yes, sir.", [Mark(0, 0), Mark(5, 500)], pcm, RATE)
    assert words == (Word("Yes,", 0, 300), Word("sir.", 500, 600))


def test_a_dash_takes_no_time() -> None:
    words = words_of("Yes — no", [Mark(0, 0), Mark(6, 300)], SOUND * 600, RATE)
    assert words == (Word("Yes", 0, 300), Word("—", 300, 300), Word("no", 300, 600))


def test_without_marks_all_of_it_is_one_breath() -> None:
    assert words_of("a b", [], SOUND * 100, RATE) == (Word("a", 0, 50), Word("b", 50, 100))
    assert words_of("- -", [], SOUND * 100, RATE) == (Word("-", 0, 100), Word("-", 100, 100))


def test_without_words_there_are_no_times() -> None:
    assert words_of("  ", [Mark(0, 0)], SOUND * 100, RATE) == ()


@given(
    st.text("ab -.\u0301\U0001f355", max_size=30),
    st.lists(st.builds(Mark, st.integers(-5, 40), st.integers(-5, 700)), max_size=8),
    st.integers(0, 600),
)
def test_whatever_the_marks_words_are_in_order_and_in_the_audio(
    text: str, marks: list[Mark], samples: int
) -> None:
    words = words_of(text, marks, SOUND * samples, RATE)
    assert [word.text for word in words] == text.split()
    edges = [edge for word in words for edge in (word.start_ms, word.end_ms)]
    assert edges == sorted(edges)
    assert all(0 <= edge <= samples for edge in edges)
