import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.alignment import Alignment


def places(text: str, *spoken: str) -> list[str]:
    alignment = Alignment()
    found = [alignment.place(text, word) for word in spoken]
    return [text[start:end] for start, end in found]


@pytest.mark.parametrize(
    ("text", "spoken", "found"),
    [
        ("Hello, Mr. Smith!", ["Hello,", "Mr.", "Smith!"], ["Hello,", "Mr.", "Smith!"]),
        ("Hello, Mr. Smith!", ["hello", "Mr", "smith"], ["Hello", "Mr", "Smith"]),
        ("Hi there. How are you?", ["Hi there.", "How are you?"], ["Hi there.", "How are you?"]),
        ("a well-known inn", ["a", "well", "known", "inn"], ["a", "well", "known", "inn"]),
        ("a well-known inn", ["a", "well-known", "inn"], ["a", "well-known", "inn"]),
        ("table 42 for 2", ["table", "forty", "two", "for", "two"], ["table", "", "", "for", ""]),
        ("costs $12.50 now", ["costs", "twelve", "fifty", "now"], ["costs", "", "", "now"]),
        ("Table 1 for one man", ["Table", "one", "for", "one"], ["Table", "", "for", "one"]),
        ("call 55 12 now", ["call", "five", "five", "one", "now"], ["call", "", "", "", "now"]),
        ("he – she", ["he", "she"], ["he", "she"]),
        ("he – she", ["he", "–", "she"], ["he", "", "she"]),
        ("“Yes,” he said", ["Yes", "he", "said"], ["Yes", "he", "said"]),
        ("an apple a day", ["an", "apple", "a", "day"], ["an", "apple", "a", "day"]),
        ("你好世界", ["你好", "世界"], ["你好", "世界"]),
        ("one, two three four", ["one", "three", "four"], ["one", "three", "four"]),
        ("", ["ghost"], [""]),
        ("done", ["done", "more"], ["done", ""]),
    ],
)
def test_each_spoken_word_is_found_where_it_stands(
    text: str, spoken: list[str], found: list[str]
) -> None:
    assert places(text, *spoken) == found


def test_a_number_said_like_the_word_behind_it_does_not_take_that_ones_place() -> None:
    text = "Table 1 for one"
    alignment = Alignment()
    assert alignment.place(text, "Table") == (0, 5)
    assert alignment.place(text, "one") == (5, 5)
    assert alignment.place(text, "for") == (8, 11)
    assert alignment.place(text, "one") == (12, 15)


@given(st.lists(st.text("abc1-, .", max_size=6), max_size=12), st.text("abc1-,. ", max_size=60))
def test_places_are_in_the_text_and_never_go_back(spoken: list[str], text: str) -> None:
    alignment, cursor = Alignment(), 0
    for word in spoken:
        start, end = alignment.place(text, word)
        assert cursor <= start <= end <= len(text)
        cursor = end


@given(st.lists(st.text(st.characters(categories=["L"]), min_size=1, max_size=8), max_size=20))
def test_a_voice_that_times_the_words_as_they_stand_is_followed_to_the_letter(
    words: list[str],
) -> None:
    assert places(" ".join(words), *words) == words
