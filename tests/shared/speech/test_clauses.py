import pytest
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


@pytest.mark.parametrize("word", ["Yes", "two", "you", "Sir", "it", "ok"])
def test_a_short_word_may_end_a_sentence(word: str) -> None:
    assert clauses(f"{word}. And then?") == [f"{word}.", "And then?"]


@pytest.mark.parametrize("word", ["Mrs", "Dr", "St", "p.m", "e.g", "J", "no", "Prof", "approx"])
def test_an_abbreviation_ends_none(word: str) -> None:
    assert clauses(f"At {word}. Muller. Good.") == [f"At {word}. Muller.", "Good."]


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


# As a language model writes, for a voice that is given clauses -----------------------------------


@given(st.text(), st.integers(1, 10), st.sampled_from([None, 0, 12]))
def test_verbatim_pieces_put_together_are_the_text(text: str, size: int, eager: int | None) -> None:
    collector = Clauses(verbatim=True, eager=eager)
    pieces = []
    for start in range(0, len(text), size):
        pieces += collector.feed(text[start : start + size])
    pieces += collector.flush()
    assert "".join(pieces) == speakable(text)
    assert all(pieces)


def test_a_verbatim_piece_keeps_the_space_that_came_with_its_end() -> None:
    collector = Clauses(verbatim=True)
    assert collector.feed("Hello there.  How are") == ["Hello there.  "]
    assert collector.flush() == ["How are"]
    assert collector.flush() == []


def test_the_first_clause_of_an_answer_may_end_at_a_comma() -> None:
    collector = Clauses(verbatim=True, eager=12)
    assert collector.feed("Of course we can, ") == ["Of course we can, "]


def test_only_the_first_one_may() -> None:
    collector = Clauses(verbatim=True, eager=12)
    assert collector.feed("Of course we can, at eight, or later, if you like") == [
        "Of course we can, "
    ]
    assert collector.flush() == ["at eight, or later, if you like"]


def test_a_word_and_a_comma_are_too_little_for_a_first_clause() -> None:
    collector = Clauses(verbatim=True, eager=12)
    assert collector.feed("Yes, of course we can, ") == ["Yes, of course we can, "]


def test_a_first_sentence_that_is_whole_is_not_cut_at_its_comma() -> None:
    collector = Clauses(verbatim=True, eager=12)
    assert collector.feed("Of course we can, at eight. And") == ["Of course we can, at eight. "]


def test_blank_lines_before_the_answer_do_not_use_up_its_first_clause() -> None:
    collector = Clauses(verbatim=True, eager=12)
    pieces = collector.feed("\n\nOf course we can, at eight")
    assert "".join(pieces) == "\n\nOf course we can, "
    assert pieces[-1] == "Of course we can, "


def test_a_piece_is_given_out_with_the_space_behind_it() -> None:
    collector, given_out = Clauses(verbatim=True, eager=12), list[tuple[str, str]]()
    for letter in "Good evening, Sir. What can I do?":
        given_out += [(letter, piece) for piece in collector.feed(letter)]
    assert given_out == [(" ", "Good evening, "), (" ", "Sir. ")]
