"""Turns of which only the length is known: what the machines make of ears without words."""

from typing import Any

import pytest

from tests.worker.turns.script import After, Left, Script
from worker.stt import EndOfTurn, Hearing, Partial, SpeechStarted
from worker.turns.agent import Commit, Pause, Resume, Silent, Speaks, Take, Thinks
from worker.turns.caller import (
    AskEnd,
    Began,
    Ended,
    Faded,
    NotEnded,
    ProbablyEnded,
    Sounds,
    Words,
)
from worker.turns.floor import MOST_IN_VAIN, Floor
from worker.turns.listening import Listening
from worker.turns.policy import Turns, Utterance

SOUND = SpeechStarted(lasting=True)
BEGAN = Began(lasting=True)


def over(ms: float, at_ms: float | None = None) -> EndOfTurn:
    return EndOfTurn("", at_ms, ms)


def ended(ms: float, at_ms: float | None = None) -> Ended:
    return Ended(f"(spoken, {ms / 1000:.1f} s)", at_ms, ms)


def listening(turns: Turns | None = None) -> Script:
    return Script(Listening(turns or Turns()))


# Listening ---------------------------------------------------------------------------------------


def test_a_turn_is_written_down_by_its_length() -> None:
    it = listening() >> SOUND << BEGAN >> After(2400) >> over(2100, 5000)
    (it << Ended("(spoken, 2.1 s)", 5000, 2100)).ends("QUIET")


def test_a_sound_that_was_no_speech_is_nothing() -> None:
    (listening() >> SOUND << BEGAN >> After(700) >> over(0) << Ended("")).ends("QUIET")


def test_its_end_without_its_beginning_is_a_turn_too() -> None:
    (listening() >> over(900) << Began() << ended(900)).ends("QUIET")


def test_a_caller_who_took_a_breath_has_one_turn_as_long_as_both_parts() -> None:
    it = listening(Turns(patience_ms=600)) >> SOUND << BEGAN >> After(1500) >> over(900)
    it = it << ProbablyEnded("(spoken, 0.9 s)") >> After(300) >> SOUND
    it = it << NotEnded() << Sounds(lasting=True) >> After(1200) >> over(600)
    it = it << ProbablyEnded("(spoken, 1.5 s)") >> After(600) << ended(1500)
    it.ends("QUIET")


def test_a_click_during_patience_adds_nothing_and_takes_nothing_away() -> None:
    it = listening(Turns(patience_ms=600)) >> SOUND << BEGAN >> After(900) >> over(900)
    it = it << ProbablyEnded("(spoken, 0.9 s)") >> SOUND << NotEnded() << Sounds(lasting=True)
    it = it >> After(300) >> over(0) << ProbablyEnded("(spoken, 0.9 s)")
    (it >> After(600) << ended(900)).ends("QUIET")


def test_a_sound_without_end_is_asked_about_and_its_length_is_the_turn() -> None:
    it = listening() >> SOUND << BEGAN >> After(30_000) << AskEnd() >> over(29_000)
    (it << ended(29_000)).ends("QUIET")


def test_a_sound_without_end_of_which_nobody_knows_fades() -> None:
    it = listening() >> SOUND << BEGAN >> After(30_000) << AskEnd() >> After(700) << Faded()
    it.ends("QUIET")


def test_the_next_turn_is_not_taken_for_a_late_answer() -> None:
    it = listening() >> SOUND << BEGAN >> After(30_700) << AskEnd() << Faded()
    (it >> over(900) << Began() << ended(900)).ends("QUIET")


def test_words_of_other_ears_go_before_a_length() -> None:
    it = listening() >> Partial("two of us") << Began() << Words("two of us")
    (it >> EndOfTurn("two of us", None, 900) << Ended("two of us")).ends("QUIET")


@pytest.mark.parametrize("event", [SOUND, over(900)])
def test_when_a_turn_began_is_known(event: Hearing) -> None:
    machine = Listening(Turns())
    machine.hear(event, 5.0)
    assert machine.began == 5.0


# The floor ---------------------------------------------------------------------------------------


def floor(*steps: Any) -> Script:
    it = Script(Floor(Turns()))
    for step in steps:
        it = it >> step
    return it


def take(ms: float) -> Take:
    return Take(Utterance(f"(spoken, {ms / 1000:.1f} s)"))


SPEAKING = Speaks(), Left(20_000)


def test_a_cough_holds_the_agent_up_and_it_goes_on() -> None:
    it = floor(*SPEAKING) >> BEGAN << Pause() >> After(900) >> ended(350) << Resume()
    it.ends("SPEAKING")


def test_a_sound_that_was_long_enough_takes_the_floor_when_it_is_over() -> None:
    it = floor(*SPEAKING) >> BEGAN << Pause() >> After(1200) >> ended(600) << Commit() << take(600)
    it.ends("OPEN")


def test_a_sound_that_goes_on_takes_the_floor_before_it_is_over() -> None:
    it = floor(*SPEAKING) >> BEGAN << Pause() >> After(1500) << Commit() >> Silent() >> After(2000)
    (it >> ended(2900) << take(2900)).ends("OPEN")


def test_an_agent_that_is_nearly_done_is_answered_by_any_sound() -> None:
    it = floor(Speaks(), Left(400)) >> BEGAN << Pause() >> After(900) >> ended(250)
    (it << Commit() << take(250)).ends("OPEN")


def test_with_nobody_speaking_every_sound_of_speech_is_a_turn() -> None:
    (floor() >> BEGAN >> ended(200) << take(200)).ends("OPEN")


def test_what_is_added_before_the_answer_begins_is_asked_about_with_the_rest() -> None:
    (floor(Thinks()) >> BEGAN >> ended(250) << Commit() << take(250)).ends("OPEN")


def test_who_cannot_be_interrupted_answers_afterwards_what_was_long_enough() -> None:
    firm = floor(Speaks(interruptible=False), Left(20_000))
    (firm >> BEGAN >> ended(300) >> BEGAN >> ended(900) << take(900)).ends("PROTECTED")


def test_in_a_noisy_room_only_what_was_long_enough_still_takes_the_floor() -> None:
    it = floor(*SPEAKING)
    for _ in range(MOST_IN_VAIN):
        it = it >> BEGAN << Pause() >> ended(300) << Resume()
    it = it >> BEGAN >> ended(300) >> BEGAN
    (it >> ended(900) << Commit() << take(900)).ends("OPEN")


def test_a_caller_who_was_heard_before_the_answer_came_is_asked_about_with_the_rest() -> None:
    it = floor(Thinks(), Left(20_000)) >> BEGAN >> Speaks() << Pause() >> After(400)
    (it >> ended(400) << Commit() << take(400)).ends("OPEN")
