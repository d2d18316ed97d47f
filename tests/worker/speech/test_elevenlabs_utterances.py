"""Where the utterances of an ElevenLabs agent begin and end, by a clock of the test's own."""

import pytest

from shared.audio import silence
from worker.speech import AgentCorrected, AgentCut, AgentDone, AgentTimed, AgentWords, Timing
from worker.speech.elevenlabs_utterances import (
    LAST_LETTER_S,
    QUIET_S,
    SILENT_S,
    Audio,
    Utterances,
)

MS_100 = silence(100)


def letters(text: str, each_ms: float = 10.0) -> list[tuple[str, float, float]]:
    return [(char, at * each_ms, (at + 1) * each_ms) for at, char in enumerate(text)]


def test_audio_begins_an_utterance_and_its_text_comes_after() -> None:
    it = Utterances()
    assert it.audio(1, MS_100, [], 0.0) == [Audio("agent-1", MS_100)]
    assert it.response(2, "Hello there.", 0.0) == [AgentWords("agent-1", "Hello there.", True)]
    assert it.audio(3, MS_100, [], 0.0) == [Audio("agent-1", MS_100)]


def test_text_begins_an_utterance_and_its_audio_comes_after() -> None:
    it = Utterances()
    assert it.response(1, "Hello.", 0.0) == [AgentWords("agent-1", "Hello.", True)]
    assert it.audio(1, MS_100, [], 0.0) == [Audio("agent-1", MS_100)]
    assert it.response(1, "Hello. How are you?", 0.1) == [
        AgentWords("agent-1", "Hello. How are you?", True)
    ]


def test_another_text_ends_what_was_being_said() -> None:
    it = Utterances()
    it.audio(1, MS_100, [], 0.0)
    it.response(2, "Hello.", 0.0)
    assert it.response(5, "Next.", 0.1) == [
        AgentDone("agent-1"),
        AgentWords("agent-2", "Next.", True),
    ]


def test_it_is_done_when_it_must_have_been_heard_and_no_more_came() -> None:
    it = Utterances()
    for at in range(20):
        it.audio(at, MS_100, [], 0.0)
    it.response(30, "A long one.", 0.0)
    assert it.due == pytest.approx(2.0 + QUIET_S)
    assert it.expire(2.0) == []
    assert it.audio(31, MS_100, [], 2.0) == [Audio("agent-1", MS_100)]
    assert it.expire(2.2 + QUIET_S) == [AgentDone("agent-1")]
    assert it.due is None


def test_it_is_done_soon_after_its_last_letter() -> None:
    it = Utterances()
    it.response(1, "Hi you.", 0.0)
    assert it.audio(2, MS_100, letters("Hi yo"), 0.0) == [
        Audio("agent-1", MS_100),
        AgentTimed("agent-1", [Timing("Hi", 0.0, 20.0)]),
    ]
    assert it.audio(3, MS_100, letters("u."), 0.0) == [
        Audio("agent-1", MS_100),
        AgentTimed("agent-1", [Timing("you.", 30.0, 120.0)]),
    ]
    assert it.due == LAST_LETTER_S
    assert it.expire(LAST_LETTER_S) == [AgentDone("agent-1")]


def test_the_last_word_is_timed_even_if_other_letters_were_spoken_than_written() -> None:
    it = Utterances()
    it.response(1, "Table 7", 0.0)
    it.audio(2, MS_100, letters("Table seven"), 0.0)
    assert it.expire(5.0) == [
        AgentTimed("agent-1", [Timing("seven", 60.0, 110.0)]),
        AgentDone("agent-1"),
    ]


def test_a_text_without_audio_does_not_last_for_ever() -> None:
    it = Utterances()
    it.response(1, "Hello.", 0.0)
    assert it.expire(SILENT_S) == [AgentDone("agent-1")]


def test_an_empty_text_and_empty_audio_are_nothing() -> None:
    it = Utterances()
    assert it.response(1, "  ", 0.0) == []
    assert it.audio(2, b"", [], 0.0) == []
    assert it.due is None


def test_an_interruption_drops_what_is_numbered_up_to_it() -> None:
    it = Utterances()
    it.audio(1, MS_100, [], 0.0)
    assert it.interrupted(4) == [AgentCut(), AgentDone("agent-1")]
    assert it.audio(3, MS_100, [], 0.1) == []
    assert it.audio(4, MS_100, [], 0.1) == []
    assert it.audio(5, MS_100, [], 0.1) == [Audio("agent-2", MS_100)]
    assert it.cut("agent-1", 10.0) is None


def test_an_interruption_without_a_number_drops_what_came_before() -> None:
    it = Utterances()
    it.audio(7, MS_100, [], 0.0)
    assert it.interrupted(None) == [AgentCut(), AgentDone("agent-1")]
    assert it.audio(7, MS_100, [], 0.1) == []
    assert it.audio(8, MS_100, [], 0.1) == [Audio("agent-2", MS_100)]


def test_an_interruption_of_lower_number_takes_nothing_back() -> None:
    it = Utterances()
    it.interrupted(9)
    it.interrupted(3)
    assert it.audio(9, MS_100, [], 0.0) == []


def test_an_interruption_that_is_told_again_cuts_nothing_that_came_after_it() -> None:
    it = Utterances()
    it.audio(1, MS_100, [], 0.0)
    assert it.interrupted(0) == [AgentCut(), AgentDone("agent-1")]
    it.interrupted(4)
    assert it.interrupted(4) == [AgentCut()], "there is nothing that it could cut wrongly"
    it.audio(6, MS_100, [], 0.2)
    assert it.interrupted(4) == []
    assert it.interrupted(3) == []
    assert it.audio(7, MS_100, [], 0.2) == [Audio("agent-2", MS_100)]
    assert it.interrupted(None) == [AgentCut(), AgentDone("agent-2")]
    it.audio(None, MS_100, [], 0.4)
    assert it.interrupted(8) == [AgentCut(), AgentDone("agent-3")]


def test_the_text_of_what_was_interrupted_may_come_late() -> None:
    it = Utterances()
    it.audio(1, MS_100, [], 0.0)
    it.interrupted(4)
    assert it.response(2, "Hello.", 0.1) == []
    assert it.corrected("Hello.", "Hel...") == [AgentCorrected("agent-1", "Hel")]
    assert it.response(3, "Pardon?", 0.2) == [AgentWords("agent-2", "Pardon?", True)]


def test_a_correction_belongs_to_the_text_that_it_corrects() -> None:
    it = Utterances()
    for at, text in enumerate(("One.", "Two.")):
        it.response(at, text, 0.0)
        it.audio(at, MS_100, [], 0.0)
    it.interrupted(9)
    assert it.corrected("Two.", "Two.") == [AgentCorrected("agent-2", "Two.")]
    assert it.corrected("One.", "O...") == [AgentCorrected("agent-1", "O")]
    assert it.corrected("Two.", "T...") == [AgentCorrected("agent-2", "T")]
    assert it.corrected("Spelled otherwise", "S") == [AgentCorrected("agent-2", "S")]


def test_a_correction_that_comes_first_cuts_even_what_is_done() -> None:
    it = Utterances()
    assert it.corrected("One.", "O...") == []
    it.response(1, "One.", 0.0)
    it.audio(2, MS_100, [], 0.0)
    it.expire(9.0)
    assert it.corrected("One.", "O...") == [AgentCut(), AgentCorrected("agent-1", "O")]
    assert it.interrupted(5) == [AgentCut()]


def test_what_the_call_has_cut_is_not_listened_to_until_the_next_one() -> None:
    it = Utterances()
    it.response(1, "Hello my dear.", 0.0)
    it.audio(2, MS_100, letters("Hello my "), 0.0)
    assert it.cut("agent-1", 55.0) == "Hello"
    assert it.cut("agent-1", 55.0) is None
    assert it.audio(3, MS_100, letters("dear"), 0.0) == []
    assert it.response(4, "And then.", 0.1) == [AgentWords("agent-2", "And then.", True)]
    assert it.cut("nobody", 0.0) is None


def test_a_turn_of_the_caller_ends_what_is_quiet_only() -> None:
    it = Utterances()
    assert it.caller_took_turn(0.0) == []
    for at in range(30):
        it.audio(at, MS_100, [], 0.0)
    assert it.caller_took_turn(0.1) == []
    assert it.caller_took_turn(1.0) == [AgentDone("agent-1")]
