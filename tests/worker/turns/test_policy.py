from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.turns import Turns
from worker.turns.policy import BACKCHANNELS, Utterance, bare, is_backchannel, words_of


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"patience_ms": -1}, "patience_ms is -1: must not be negative"),
        ({"silence_ms": -1}, "silence_ms is -1: must not be negative"),
        ({"interrupt_ms": -5}, "interrupt_ms is -5: must not be negative"),
        ({"keys_timeout_s": -0.1}, "keys_timeout_s is -0.1: must not be negative"),
        ({"interrupt_words": 0}, "interrupt_words is 0: must be 1 at least"),
        ({"keys_most": 0}, "keys_most is 0: must be 1 at least"),
        ({"keys_end": "##"}, "keys_end is '##': one key, or none"),
        ({"longest_s": 0.0}, "longest_s is 0.0: must be above 0, or None"),
        ({"silence_s": -3.0}, "silence_s is -3.0: must be above 0, or None"),
        ({"backchannels": frozenset({"Uh-huh"})}, "lower case, without punctuation"),
    ],
)
def test_a_knob_that_cannot_be_is_refused_by_name(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence.replace(".", r"\.")):
        Turns(**wrong)


def test_knobs_at_their_ends_are_allowed() -> None:
    Turns(patience_ms=0, silence_ms=0, ask_times=0, keys_end="", silence_s=None, longest_s=None)


@pytest.mark.parametrize("text", ["Mhm.", "uh-huh", "Yeah, okay.", "mm-hmm", "Mm hmm", "Right!"])
def test_who_listens_aloud_says_backchannels(text: str) -> None:
    assert is_backchannel(text, BACKCHANNELS)


@pytest.mark.parametrize("text", ["yeah but", "no", "okay then tomorrow", "yes"])
def test_who_says_anything_else_does_not(text: str) -> None:
    assert not is_backchannel(text, BACKCHANNELS)


def test_words_are_the_same_whatever_their_marks_and_case() -> None:
    assert words_of("It's 7 p.m., OK?") == words_of("its 7 PM ok") == ["its", "7", "pm", "ok"]
    assert words_of(" … — ?!") == []


def test_words_of_any_script_are_words() -> None:
    assert words_of("Grüß Gott! 你好。") == ["grüß", "gott", "你好"]


@given(st.text())
def test_a_bare_word_is_bare(text: str) -> None:
    assert bare(bare(text)) == bare(text)


def test_utterances_of_the_same_words_are_equal_wherever_they_ended() -> None:
    assert Utterance("hi", 100.0) == Utterance("hi", None)
