from hypothesis import given
from hypothesis import strategies as st

from shared.speech.clauses import LONGEST, Clauses, clauses, speakable


def test_a_text_is_cut_at_its_sentences() -> None:
    assert clauses("Hello. How are you? Fine!") == ["Hello.", "How are you?", "Fine!"]


def test_numbers_and_abbreviations_are_not_ends() -> None:
    assert clauses("Mr. Smith comes at 7.30, table No. 5. Good.") == [
        "Mr. Smith comes at 7.30, table No. 5.",
        "Good.",
    ]


def test_a_closing_quote_belongs_to_its_sentence() -> None:
    assert clauses('She said "yes." He left.') == ['She said "yes."', "He left."]


def test_a_line_break_ends_a_piece() -> None:
    assert clauses("one, two\nthree") == ["one, two", "three"]


def test_a_long_sentence_is_cut_at_its_last_comma_that_fits() -> None:
    head = "a " * 30 + "b, " + "c " * 10 + "d,"
    assert clauses(f"{head} {'e ' * 30}f") == [head, "e " * 30 + "f"]


def test_without_comma_it_is_cut_between_words() -> None:
    pieces = clauses("word " * 100)
    assert " ".join(pieces) == ("word " * 100).strip()
    assert all(len(piece) <= LONGEST for piece in pieces)


def test_a_sentence_is_given_out_as_soon_as_it_is_whole() -> None:
    collector = Clauses()
    assert collector.feed("Hello the") == []
    assert collector.feed("re. How") == ["Hello there."]
    assert collector.feed(" are you?") == []
    assert collector.flush() == ["How are you?"]
    assert collector.flush() == []


def test_what_engines_take_for_commands_is_taken_out() -> None:
    assert speakable("a\x01\x190P\x00b\ue000\ud800c") == "a  0P b  c"


def test_blank_text_has_no_pieces() -> None:
    assert clauses("") == clauses(" \n \x01 ") == []


@given(st.text(), st.integers(1, 10))
def test_no_text_is_lost_doubled_or_too_long_however_it_arrives(text: str, size: int) -> None:
    collector = Clauses()
    pieces = []
    for start in range(0, len(text), size):
        pieces += collector.feed(text[start : start + size])
    pieces += collector.flush()
    assert "".join("".join(pieces).split()) == "".join(speakable(text).split())
    assert all(0 < len(piece) <= LONGEST + 2 for piece in pieces)
