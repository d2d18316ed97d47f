import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.transfers.words import said_yes, words_of


@pytest.mark.parametrize(
    ("language", "speech", "answer"),
    [
        ("en-US", "Yes.", True),
        ("en-US", "yeah, sure", True),
        ("en-GB", "Put them through!", True),
        ("en-US", "No", False),
        ("en-US", "I can’t right now", False),
        ("en-US", "not now", False),
        ("en-US", "no problem, okay", None),
        ("en-US", "who is it?", None),
        ("en-US", "", None),
        # A machine's greeting is longer.
        ("en-US", "yes hello you have reached the Smiths", None),
        ("de-DE", "Ja, gerne", True),
        ("de", "Nein danke", False),
        ("de-AT", "jain", None),
        ("es-ES", "Sí, claro", True),
        ("es", "ahora no", False),
        ("fr-FR", "D'accord", True),
        ("fr", "Non merci", False),
        ("fi-FI", "yes", True),
    ],
)
def test_short_answers_are_understood(language: str, speech: str, answer: bool | None) -> None:
    assert said_yes(words_of(language), "", speech) is answer


@pytest.mark.parametrize(
    ("digits", "answer"), [("1", True), ("2", False), ("3", None), ("12", None)]
)
def test_a_key_counts_more_than_words(digits: str, answer: bool | None) -> None:
    assert said_yes(words_of("en"), digits, "yes") is answer


@pytest.mark.parametrize("language", ["en", "de", "es", "fr"])
def test_what_is_asked_names_both_keys_and_holds_the_summary(language: str) -> None:
    asked = words_of(language).asked("  Ada calls  ")
    assert "Ada calls. " in asked
    assert "1" in asked
    assert "2" in asked


@given(st.text(max_size=200), st.sampled_from(["en", "de", "es", "fr", "", "-"]))
def test_whatever_is_heard_is_yes_no_or_neither(speech: str, language: str) -> None:
    assert said_yes(words_of(language), "", speech) in {True, False, None}
