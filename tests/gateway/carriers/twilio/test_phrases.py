from typing import Any

import pytest
from pydantic import ValidationError

from gateway.carriers.twilio.phrases import USUAL, Phrases, phrases_of
from shared.settings import Settings


def test_what_is_not_set_is_said_as_usual() -> None:
    assert phrases_of(Settings()) == USUAL


def test_each_sentence_has_a_setting() -> None:
    words = {name: f"{name}." for name in Phrases.__dataclass_fields__ if name != "language"}
    given: dict[str, Any] = {f"say_{name}": text for name, text in words.items()}
    assert phrases_of(Settings(say_language="de-DE", **given)) == Phrases(**words, language="de-DE")


@pytest.mark.parametrize("language", ["german", "de", "de_DE", "de-DE;", ""])
def test_a_language_that_the_carrier_would_not_know_is_refused(language: str) -> None:
    with pytest.raises(ValidationError):
        Settings(say_language=language)


@pytest.mark.parametrize("words", ["", " ", "\t\n"])
def test_a_sentence_that_says_nothing_is_refused_at_the_start_and_not_on_a_call(words: str) -> None:
    with pytest.raises(ValidationError):
        Settings(say_failed=words)
