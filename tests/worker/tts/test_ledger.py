from itertools import accumulate
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audio import bytes_of_ms, ms_of_bytes
from worker.message import Message
from worker.tts import Timing
from worker.tts.ledger import LETTER_MS, Ledger, Unsaid

UUID = uuid4()


def ledger(*pieces: str, done: bool = True) -> Ledger:
    """Return one with an utterance of these pieces."""
    book = Ledger()
    for number, piece in enumerate(pieces, start=1):
        book.posted(Message(UUID, piece, done=done and number == len(pieces)))
    return book


def words(text: str, *, start_ms: float = 0, word_ms: float = 200) -> list[Timing]:
    """Return each word of a text, as long as the others."""
    return [
        Timing(word, start_ms + number * word_ms, start_ms + (number + 1) * word_ms)
        for number, word in enumerate(text.split())
    ]


def lost_at(book: Ledger, ms: float, timings: list[Timing]) -> str:
    """Return what is unsaid when the connection is lost after ``ms`` of audio."""
    book.timed(UUID, timings)
    book.received(UUID, bytes_of_ms(ms) - bytes_of_ms(book.received_ms(UUID)))
    return book.unsaid(UUID).text


def test_nothing_has_come_so_all_is_unsaid() -> None:
    book = ledger("The table is", " booked.", done=False)
    assert book.unsaid(UUID) == Unsaid("The table is booked.", whole=False, offset_ms=0.0)


def test_the_word_that_was_cut_is_the_first_to_be_said_again() -> None:
    text = "The table is booked for four people."
    book = ledger("The table is", " booked for four people.")
    assert lost_at(book, 1100, words(text)) == "four people."
    assert book.unsaid(UUID) == Unsaid("four people.", whole=True, offset_ms=1100.0)


@pytest.mark.parametrize(
    ("ms", "rest"), [(398, "for four"), (399.5, "four"), (400, "four"), (599, ""), (600, "")]
)
def test_a_word_that_lacks_a_sample_or_two_was_said(ms: float, rest: str) -> None:
    assert lost_at(ledger("Table for four"), ms, words("Table for four")) == rest


def test_words_timed_ahead_of_their_audio_do_not_count_until_it_comes() -> None:
    book = ledger("One two three four")
    assert lost_at(book, 0, words("One two three four")) == "One two three four"


def test_marks_go_with_the_word_before_them() -> None:
    book = ledger('She said: "Hello," and — well — left.')
    timings = words("She said Hello and well left")
    assert lost_at(book, 410, timings) == '"Hello," and — well — left.'
    assert lost_at(book, 610, words("Hello and", start_ms=410)) == "and — well — left."
    assert lost_at(book, 1020, words("and well left", start_ms=610)) == "left."
    assert lost_at(book, 1300, words("left", start_ms=1020)) == ""


def test_a_pause_that_has_come_loses_no_word() -> None:
    book = ledger("Hello there.", " I am here.")
    assert lost_at(book, 1100, words("Hello there.")) == "I am here."


def test_a_word_is_not_found_inside_of_another() -> None:
    book = ledger("A tablecloth for a table at ten")
    assert lost_at(book, 650, words("A tablecloth for a table")) == "a table at ten"
    assert lost_at(book, 860, words("a table", start_ms=650)) == "table at ten"


def test_a_number_that_is_spelled_out_is_said_again_whole_or_not_at_all() -> None:
    text, spelled = "It costs $12.50 for two.", "It costs twelve dollars fifty for two"
    assert lost_at(ledger(text), 700, words(spelled)) == "$12.50 for two."
    assert lost_at(ledger(text), 1050, words(spelled)) == "for two."


def test_what_is_left_of_a_compound_is_said_again_whole() -> None:
    text = "A well-known place"
    assert lost_at(ledger(text), 410, words("A well")) == "well-known place"
    assert lost_at(ledger(text), 410, words("A well known place")) == "known place"


def test_a_script_without_spaces_is_cut_where_its_words_are() -> None:
    assert lost_at(ledger("日本語を話します。"), 500, words("日本語 を 話し ます")) == "話します。"


def test_without_timings_the_letters_tell_where_it_was() -> None:
    text = "The table is booked for four people"
    assert lost_at(ledger(text), LETTER_MS * text.index("oked"), []) == "booked for four people"
    assert lost_at(ledger(text), 60_000, []) == "people"


def test_after_a_timed_clause_the_letters_of_the_next_one_count() -> None:
    first, second = "Your table is booked.", " It is the one at the window."
    clause = [Timing(first, 0, 21 * 50)]
    assert lost_at(ledger(first, second), 1050, clause) == second.strip()
    assert lost_at(ledger(first, second), 1050 + 250, clause) == second.strip()
    later = lost_at(ledger(first, second), 1050 + 300 + 50 * second.index("one"), clause)
    assert later == "one at the window."


def test_one_word_that_is_a_clause_tells_nothing_of_how_words_are_timed() -> None:
    rest = lost_at(ledger("Hello.", " How can I help you today?"), 2000, [Timing("Hello.", 0, 500)])
    assert rest in ("help you today?", "I help you today?", "can I help you today?")


def test_a_clause_that_is_timed_ahead_is_cut_in_proportion() -> None:
    text = "one two six ten"
    assert lost_at(ledger(text), 1250, [Timing(text, 0, 1500)]) == "ten"
    assert lost_at(ledger(text), 500, [Timing(text, 0, 1500)]) == "two six ten"


def test_it_can_be_lost_again_and_again() -> None:
    book = ledger("One two three four five six")
    assert lost_at(book, 500, words("One two three four five six")) == "three four five six"
    second = words("three four five six", start_ms=500)
    assert lost_at(book, 600, second) == "three four five six"
    assert lost_at(book, 1250, words("three four five six", start_ms=600)) == "six"
    assert book.unsaid(UUID) == Unsaid("six", whole=True, offset_ms=1250.0)


def test_pieces_posted_after_a_loss_follow_what_is_left() -> None:
    book = ledger("One two", done=False)
    assert lost_at(book, 250, words("One two")) == "two"
    book.posted(Message(UUID, " three", done=True))
    assert book.unsaid(UUID) == Unsaid("two three", whole=True, offset_ms=250.0)


def test_a_late_piece_is_all_that_is_left() -> None:
    book = ledger("One two.", done=False)
    assert lost_at(book, 500, words("One two.")) == ""
    book.posted(Message(UUID, " Three.", done=True))
    assert book.unsaid(UUID).text == "Three."


def test_utterances_are_open_until_they_are_closed() -> None:
    book = Ledger()
    first, second = uuid4(), uuid4()
    book.posted(Message(first, "One.", done=True))
    book.posted(Message(second, "Two.", done=False))
    assert list(book) == [first, second]
    assert len(book) == 2
    assert book.close(first)
    assert not book.close(first)
    assert first not in book
    assert second in book


def test_what_comes_of_a_closed_utterance_is_nothing() -> None:
    book = Ledger()
    book.received(UUID, 800)
    book.timed(UUID, [Timing("One", 0, 100)])
    assert book.received_ms(UUID) == 0.0
    with pytest.raises(KeyError):
        book.unsaid(UUID)


WORDS = st.lists(
    st.sampled_from(
        ["a", "at", "the", "table", "four,", "I", "$12.50", "(well)", "it's", "no-one"]
    ),
    min_size=1,
    max_size=20,
)


@given(WORDS, st.data())
def test_said_and_unsaid_are_the_text_however_often_it_is_lost(
    said: list[str], data: st.DataObject
) -> None:
    book = Ledger()
    splits = data.draw(st.lists(st.booleans(), min_size=len(said), max_size=len(said)))
    piece = ""
    for word, ends in zip(said, splits, strict=True):
        piece += f" {word}" if piece or book else word
        if ends:
            book.posted(Message(UUID, piece, done=False))
            piece = ""
    book.posted(Message(UUID, piece, done=True))

    heard: list[str] = []
    rest, begins_ms = book.unsaid(UUID).text, 0.0
    for _ in range(data.draw(st.integers(1, 5))):
        lengths = data.draw(st.lists(st.integers(40, 900), min_size=20, max_size=20))
        edges = [begins_ms + end for end in accumulate(lengths)]
        timings = [
            Timing(word, end - length, end)
            for word, end, length in zip(rest.split(), edges, lengths, strict=False)
        ]
        told = data.draw(st.booleans())
        came = bytes_of_ms(data.draw(st.floats(0, 4000)))
        reached_ms = begins_ms + ms_of_bytes(came)
        whole = [timing for timing in timings if timing.end_ms <= reached_ms + 1]
        heard += [timing.text for timing in whole]
        book.timed(UUID, timings if told else timings[: len(whole) + 1])
        book.received(UUID, came)
        left = book.unsaid(UUID)
        assert left.offset_ms == pytest.approx(reached_ms)
        assert [*heard, *left.text.split()] == said
        assert book.unsaid(UUID) == left
        rest, begins_ms = left.text, reached_ms


@given(
    st.text("ab .,-—$'\n日", max_size=60),
    st.lists(st.tuples(st.text("ab .-日", max_size=8), st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))),
    st.integers(0, 100_000),
)
def test_whatever_a_provider_times_what_is_unsaid_is_the_end_of_the_text(
    text: str, timings: list[tuple[str, float, float]], size: int
) -> None:
    book = ledger(text)
    book.timed(UUID, [Timing(*timing) for timing in timings])
    book.received(UUID, size)
    left = book.unsaid(UUID)
    assert text.endswith(left.text)
    assert book.unsaid(UUID) == left
