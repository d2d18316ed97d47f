from hypothesis import given
from hypothesis import strategies as st

from shared.audio import SILENT_FRAME, level_dbfs, ms_of_bytes
from tests.fakes.speech import heard_in, speech, timings, words_in

TEXT = "Hello, Anna! Is a table for 2 all right? No no."


def test_speech_says_its_words() -> None:
    assert words_in(speech(TEXT)) == TEXT.split()


@given(st.text(max_size=30))
def test_any_text_can_be_read_back(text: str) -> None:
    assert words_in(speech(text, ms_per_letter=4)) == text.split()


def test_timings_say_where_the_words_are() -> None:
    audio = speech(TEXT)
    assert heard_in(audio) == timings(TEXT)
    assert timings(TEXT)[-1].end_ms < ms_of_bytes(len(audio))


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_a_word_that_was_cut_is_not_taken_for_a_whole_one(start: int, end: int) -> None:
    audio = speech("one two three four")
    heard = words_in(audio[start:end])
    whole = [
        word.text
        for word in timings("one two three four")
        if word.start_ms * 8 >= start and word.end_ms * 8 <= end
    ]
    assert heard == whole


def test_a_cut_word_is_heard_as_far_as_it_goes() -> None:
    audio = speech("hello")
    assert [(it.text, it.whole) for it in heard_in(audio[: len(audio) // 2])] == [("hel", False)]


def test_words_around_silence_and_cuts_are_told_apart() -> None:
    cut = speech("four people")[: 8 * 120]
    assert words_in(cut + SILENT_FRAME * 3 + speech("four people")) == ["four", "people"]
    assert words_in(cut + speech("four people")) == ["four", "people"]
    stammer = speech("four")[: 8 * 20] + speech("four")
    assert [(it.text, it.whole) for it in heard_in(stammer)] == [("f", False), ("four", True)]


def test_it_is_loud_enough_to_be_taken_for_speech() -> None:
    assert level_dbfs(speech("hello")) > -12


def test_noise_says_nothing() -> None:
    assert words_in(bytes(range(256)) * 20) == []
