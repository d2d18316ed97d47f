from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.worker.turns.script import After, Script, pass_time
from worker.stt import (
    EagerEnd,
    EndOfTurn,
    Hearing,
    Partial,
    SpeechStarted,
    SpeechStopped,
    TurnResumed,
)
from worker.turns.caller import (
    AskEnd,
    Began,
    Ended,
    Faded,
    NotEnded,
    ProbablyEnded,
    Sounds,
    Stopped,
    Words,
)
from worker.turns.listening import TABLE, Deadline, Listening, State
from worker.turns.policy import Turns

PATIENT = Turns(patience_ms=600)
QUICK = Turns(silence_ms=500)


def script(turns: Turns | None = None) -> Script:
    return Script(Listening(turns or Turns()))


# Every row of the table ------------------------------------------------------------------------

WAY: dict[State, tuple[Any, ...]] = {
    State.QUIET: (),
    State.SOUND: (SpeechStarted(),),
    State.WORDS: (Partial("two of"),),
    State.EAGER: (EagerEnd("two of us"),),
    State.PATIENCE: (EndOfTurn("two of us"),),
    State.ASKED: (Partial("two of"), After(3000)),
}
"""How each state is come to, with patience."""


@dataclass(frozen=True)
class Row:
    """What an event brings, and the state it leads to."""

    event: Any
    decides: tuple[Any, ...]
    state: str


_TWO, _US, _OUT = "two of", "two of us", "two of us outside"

ROWS: dict[tuple[State, type], Row] = {
    (State.QUIET, SpeechStarted): Row(SpeechStarted(True), (Began(True),), "SOUND"),
    (State.QUIET, Partial): Row(Partial("hi"), (Began(), Words("hi")), "WORDS"),
    (State.QUIET, EagerEnd): Row(
        EagerEnd("hi"), (Began(), Words("hi"), ProbablyEnded("hi")), "EAGER"
    ),
    (State.QUIET, EndOfTurn): Row(
        EndOfTurn("hi"), (Began(), Words("hi"), ProbablyEnded("hi")), "PATIENCE"
    ),
    (State.SOUND, SpeechStarted): Row(SpeechStarted(), (Sounds(),), "SOUND"),
    (State.SOUND, SpeechStopped): Row(SpeechStopped(), (Stopped(),), "SOUND"),
    (State.SOUND, Partial): Row(Partial("hi"), (Words("hi"),), "WORDS"),
    (State.SOUND, EagerEnd): Row(EagerEnd("hi"), (Words("hi"), ProbablyEnded("hi")), "EAGER"),
    (State.SOUND, EndOfTurn): Row(EndOfTurn(""), (Ended(""),), "QUIET"),
    (State.SOUND, Deadline): Row(After(1200), (Faded(),), "QUIET"),
    (State.WORDS, SpeechStarted): Row(SpeechStarted(), (Sounds(),), "WORDS"),
    (State.WORDS, SpeechStopped): Row(SpeechStopped(), (Stopped(),), "WORDS"),
    (State.WORDS, Partial): Row(Partial(_US), (Words(_US),), "WORDS"),
    (State.WORDS, EagerEnd): Row(EagerEnd(_US), (Words(_US), ProbablyEnded(_US)), "EAGER"),
    (State.WORDS, EndOfTurn): Row(EndOfTurn(_US), (Words(_US), ProbablyEnded(_US)), "PATIENCE"),
    (State.WORDS, Deadline): Row(After(3000), (AskEnd(),), "ASKED"),
    (State.EAGER, SpeechStopped): Row(SpeechStopped(), (Stopped(),), "EAGER"),
    (State.EAGER, Partial): Row(Partial(_OUT), (NotEnded(), Words(_OUT)), "WORDS"),
    (State.EAGER, EagerEnd): Row(
        EagerEnd(_OUT), (NotEnded(), Words(_OUT), ProbablyEnded(_OUT)), "EAGER"
    ),
    (State.EAGER, TurnResumed): Row(TurnResumed(), (NotEnded(),), "WORDS"),
    (State.EAGER, EndOfTurn): Row(EndOfTurn(_US), (), "PATIENCE"),
    (State.EAGER, Deadline): Row(After(3000), (AskEnd(),), "ASKED"),
    (State.PATIENCE, SpeechStarted): Row(SpeechStarted(True), (NotEnded(), Sounds(True)), "WORDS"),
    (State.PATIENCE, Partial): Row(Partial("outside"), (NotEnded(), Words(_OUT)), "WORDS"),
    (State.PATIENCE, EagerEnd): Row(
        EagerEnd("outside"), (NotEnded(), Words(_OUT), ProbablyEnded(_OUT)), "EAGER"
    ),
    (State.PATIENCE, EndOfTurn): Row(
        EndOfTurn("outside"), (NotEnded(), Words(_OUT), ProbablyEnded(_OUT)), "PATIENCE"
    ),
    (State.PATIENCE, Deadline): Row(After(600), (Ended(_US),), "QUIET"),
    (State.ASKED, Partial): Row(Partial(_US), (Words(_US),), "ASKED"),
    (State.ASKED, EagerEnd): Row(EagerEnd(_US), (Words(_US),), "ASKED"),
    (State.ASKED, EndOfTurn): Row(EndOfTurn(_US), (Words(_US), Ended(_US)), "QUIET"),
    (State.ASKED, Deadline): Row(After(700), (Ended(_TWO),), "QUIET"),
}


def _in(state: State) -> Script:
    it = script(PATIENT)
    for step in WAY[state]:
        it._happens(step)
    it._decided.clear()
    assert it.machine.state is state
    return it


@pytest.mark.parametrize(("state", "event"), TABLE)
def test_every_row_of_the_table_does_what_it_says(state: State, event: type) -> None:
    row = ROWS[state, event]
    assert event is Deadline or type(row.event) is event
    it = _in(state) >> row.event
    for decision in row.decides:
        it = it << decision
    it.ends(row.state)


def test_no_row_is_tested_that_the_table_has_not() -> None:
    assert ROWS.keys() == TABLE.keys()


_EVENTS: tuple[Any, ...] = (
    *(SpeechStarted(), SpeechStopped(5.0), Partial("x"), EagerEnd("x"), TurnResumed()),
    EndOfTurn("x"),
)


@pytest.mark.parametrize(
    ("state", "event"),
    [(s, e) for s in State for e in _EVENTS if (s, type(e)) not in TABLE],
    ids=str,
)
def test_an_event_that_means_nothing_changes_nothing(state: State, event: Hearing) -> None:
    it = _in(state)
    machine = it.machine
    assert isinstance(machine, Listening)
    before = machine.state, machine.deadline, machine.text
    (it >> event).ends()
    assert (machine.state, machine.deadline, machine.text) == before


@pytest.mark.parametrize("state", State)
def test_every_state_but_quiet_has_a_deadline(state: State) -> None:
    assert (_in(state).machine.deadline is None) == (state is State.QUIET)


def test_before_its_deadline_a_machine_that_is_woken_does_nothing() -> None:
    machine = Listening(Turns())
    assert machine.tick(5.0) == []
    machine.hear(Partial("hi"), 5.0)
    assert machine.tick(7.9) == []
    assert machine.state is State.WORDS


# Turns -----------------------------------------------------------------------------------------


def test_a_turn_from_its_first_sound_to_its_end() -> None:
    (
        script()
        >> SpeechStarted()
        << Began()
        >> After(200)
        >> Partial("hi")
        << Words("hi")
        >> After(300)
        >> EndOfTurn("Hi there.", 480.0)
        << Words("Hi there.")
        << Ended("Hi there.", 480.0)
    ).ends("QUIET")


def test_an_end_whose_words_are_known_tells_them_once() -> None:
    it = script() >> Partial("hi") << Began() << Words("hi")
    (it >> EndOfTurn("hi") << Ended("hi")).ends("QUIET")


def test_where_the_turn_ended_is_known_from_the_sound_when_the_end_does_not_say() -> None:
    it = script() >> SpeechStarted(True) << Began(True) >> SpeechStopped(310.0) << Stopped()
    (it >> EndOfTurn("hi") << Words("hi") << Ended("hi", 310.0)).ends()


def test_an_eager_end_that_holds_tells_nothing_new() -> None:
    it = script() >> EagerEnd("hi") << Began() << Words("hi") << ProbablyEnded("hi")
    (it >> After(400) >> EndOfTurn("Hi!") << Words("Hi!") << Ended("Hi!")).ends("QUIET")


def test_an_eager_end_that_did_not_hold_goes_on_with_all_words() -> None:
    it = script() >> EagerEnd("two") << Began() << Words("two") << ProbablyEnded("two")
    it = it >> TurnResumed() << NotEnded() >> Partial("two of us") << Words("two of us")
    (it >> EndOfTurn("two of us") << Ended("two of us")).ends("QUIET")


@pytest.mark.parametrize("event", [Partial("Hi."), EagerEnd("hi")])
def test_the_same_words_again_do_not_undo_an_eager_end(event: Hearing) -> None:
    it = script() >> EagerEnd("hi") << Began() << Words("hi") << ProbablyEnded("hi")
    (it >> event).ends("EAGER")


# Patience --------------------------------------------------------------------------------------


def test_a_caller_who_only_took_a_breath_has_one_turn() -> None:
    it = script(PATIENT) >> EndOfTurn("a table") << Began() << Words("a table")
    it = it << ProbablyEnded("a table") >> After(400)
    it = it >> Partial("for two") << NotEnded() << Words("a table for two")
    it = it >> EndOfTurn("for two", 900.0) << ProbablyEnded("a table for two")
    (it >> After(600) << Ended("a table for two", 900.0)).ends("QUIET")


def test_with_patience_an_eager_end_of_other_words_is_prepared_anew() -> None:
    it = script(PATIENT) >> EagerEnd("two") << Began() << Words("two") << ProbablyEnded("two")
    it = it >> EndOfTurn("too late") << Words("too late") << NotEnded()
    (it << ProbablyEnded("too late") >> After(600) << Ended("too late")).ends()


def test_a_noise_after_the_end_delays_it_a_moment_and_adds_nothing() -> None:
    it = script(PATIENT) >> EndOfTurn("hi") << Began() << Words("hi") << ProbablyEnded("hi")
    it = it >> SpeechStarted() << NotEnded() << Sounds()
    (it >> After(1200) << Ended("hi")).ends("QUIET")


def test_a_lasting_noise_after_the_end_delays_it_until_it_is_over() -> None:
    it = script(PATIENT) >> EndOfTurn("hi") << Began() << Words("hi") << ProbablyEnded("hi")
    it = it >> SpeechStarted(True) << NotEnded() << Sounds(True) >> After(5000)
    (it >> SpeechStopped() << Stopped() >> After(1200) << Ended("hi")).ends("QUIET")


def test_an_empty_end_during_patience_is_none() -> None:
    it = script(PATIENT) >> EndOfTurn("hi") << Began() << Words("hi") << ProbablyEnded("hi")
    (it >> After(300) >> EndOfTurn("") >> After(300) << Ended("hi")).ends("QUIET")


def test_what_was_not_understood_needs_no_patience() -> None:
    it = script(PATIENT) >> SpeechStarted() << Began()
    (it >> EndOfTurn("") << Ended("")).ends("QUIET")


def test_a_radio_that_ends_a_sentence_in_every_breath_has_one_long_turn_and_no_longer() -> None:
    machine, now, ended = Listening(PATIENT), 0.0, list[object]()
    while now < 31.0:
        ended += [it for it in machine.hear(EndOfTurn("news"), now) if isinstance(it, Ended)]
        pass_time(machine, now, 500)
        now += 0.5
    assert len(ended) == 1


# Sounds ----------------------------------------------------------------------------------------


def test_a_noise_that_brings_no_word_fades() -> None:
    (script() >> SpeechStarted() << Began() >> After(1200) << Faded()).ends("QUIET")


def test_a_noise_that_is_renewed_lives_longer() -> None:
    it = script() >> SpeechStarted() << Began() >> After(1000) >> SpeechStarted() << Sounds()
    (it >> After(1000)).ends("SOUND")


def test_a_sound_whose_end_is_told_is_waited_for() -> None:
    it = script() >> SpeechStarted(True) << Began(True) >> After(9000)
    (it >> SpeechStopped() << Stopped() >> After(1200) << Faded()).ends("QUIET")


def test_hold_music_is_asked_about_and_fades_when_nobody_answers() -> None:
    it = script() >> SpeechStarted(True) << Began(True)
    (it >> After(30_000) << AskEnd() >> After(700) << Faded()).ends("QUIET")


def test_long_speech_of_which_words_come_at_the_end_only_is_asked_for() -> None:
    it = script() >> SpeechStarted(True) << Began(True) >> After(30_000) << AskEnd()
    (it >> EndOfTurn("it is a long story") << Words("it is a long story")
     << Ended("it is a long story")).ends("QUIET")  # fmt: skip


def test_music_with_words_ends_at_the_longest_turn() -> None:
    machine, now, ended = Listening(Turns()), 0.0, list[Any]()
    while not ended and now < 60:
        decided = machine.hear(Partial(f"la {now}"), now) + pass_time(machine, now, 1000)
        ended = [it for it in decided if isinstance(it, Ended)]
        now += 1
    assert now <= 32


def test_a_caller_who_speaks_on_without_new_words_is_not_cut_while_the_sound_lasts() -> None:
    it = script() >> Partial("well") << Began() << Words("well")
    it = it >> SpeechStarted(True) << Sounds(True) >> After(8000)
    (it >> SpeechStopped() << Stopped() >> After(3000) << AskEnd()).ends("ASKED")


# A provider that does not end turns --------------------------------------------------------------


def test_words_after_which_nothing_comes_are_asked_about_and_taken() -> None:
    it = script() >> Partial("hello") << Began() << Words("hello") >> After(3000) << AskEnd()
    (it >> After(700) << Ended("hello")).ends("QUIET")


def test_the_answer_of_a_provider_that_was_asked_is_the_turn() -> None:
    it = script() >> Partial("hell") << Began() << Words("hell") >> After(3000) << AskEnd()
    it = it >> After(100) >> EndOfTurn("Hello.", 70.0) << Words("Hello.") << Ended("Hello.", 70.0)
    it.ends("QUIET")


def test_an_empty_answer_takes_no_word_away() -> None:
    it = script() >> Partial("hello") << Began() << Words("hello") >> After(3000) << AskEnd()
    (it >> EndOfTurn("") << Ended("hello")).ends("QUIET")


@pytest.mark.parametrize("late", ["Hello!", ""])
def test_an_answer_that_comes_too_late_is_no_second_turn(late: str) -> None:
    it = script() >> Partial("hello") << Began() << Words("hello") >> After(3000) << AskEnd()
    (it >> After(700) << Ended("hello") >> After(900) >> EndOfTurn(late)).ends("QUIET")


def test_what_is_said_after_a_turn_that_was_not_answered_is_a_turn() -> None:
    it = script() >> Partial("hello") << Began() << Words("hello") >> After(3000) << AskEnd()
    it = it >> After(700) << Ended("hello") >> After(100)
    it = it >> EndOfTurn("are you there") << Began() << Words("are you there")
    (it << Ended("are you there")).ends("QUIET")


def test_the_same_words_said_again_much_later_are_a_turn() -> None:
    it = script() >> Partial("hello") << Began() << Words("hello") >> After(3000) << AskEnd()
    it = it >> After(700) << Ended("hello") >> After(5000)
    (it >> EndOfTurn("hello") << Began() << Words("hello") << Ended("hello")).ends("QUIET")


def test_silence_ends_a_turn_without_the_provider() -> None:
    it = script(QUICK) >> SpeechStarted(True) << Began(True) >> Partial("hi") << Words("hi")
    it = it >> After(4000) >> SpeechStopped(250.0) << Stopped() >> After(500) << AskEnd()
    (it >> After(700) << Ended("hi", 250.0)).ends("QUIET")


def test_words_that_come_after_the_sound_stopped_do_not_prolong_the_silence() -> None:
    it = script(QUICK) >> SpeechStarted(True) << Began(True) >> SpeechStopped() << Stopped()
    it = it >> After(300) >> Partial("hi") << Words("hi")
    (it >> After(200) << AskEnd()).ends("ASKED")


def test_a_caller_who_goes_on_ends_the_silence() -> None:
    it = script(QUICK) >> SpeechStarted(True) << Began(True) >> Partial("hi") << Words("hi")
    it = it >> SpeechStopped() << Stopped() >> After(400) >> SpeechStarted(True) << Sounds(True)
    (it >> After(2000)).ends("WORDS")


# Whatever comes --------------------------------------------------------------------------------

_WORD = st.sampled_from(["", "hi", "two of us", "um", "Two of us!"])
_SAID = st.sampled_from(["hi", "two of us", "um", "Two of us!"])
_HEARING = st.one_of(
    st.builds(SpeechStarted, st.booleans()),
    st.builds(SpeechStopped, st.none() | st.floats(0, 9e4)),
    st.builds(Partial, _SAID),
    st.builds(EagerEnd, _SAID),
    st.just(TurnResumed()),
    st.builds(EndOfTurn, _WORD, st.none() | st.floats(0, 9e4)),
)
_TURNS = st.builds(
    Turns,
    patience_ms=st.sampled_from([0, 600]),
    silence_ms=st.sampled_from([None, 0, 500]),
    stall_ms=st.sampled_from([0, 3000]),
    longest_ms=st.sampled_from([2000, 30_000]),
    nothing_ms=st.sampled_from([0, 1200]),
)
_PLAY = st.lists(st.tuples(_HEARING, st.sampled_from([0, 20, 300, 700, 2000, 40_000])), max_size=60)


@given(_TURNS, _PLAY)
def test_beginnings_and_ends_alternate_whatever_comes(
    turns: Turns, play: list[tuple[Hearing, int]]
) -> None:
    machine, now, is_open, eager = Listening(turns), 0.0, False, False
    for event, ms in play:
        for decision in [*machine.hear(event, now), *pass_time(machine, now, ms)]:
            match decision:
                case Began():
                    assert not is_open
                    is_open = True
                case Ended() | Faded():
                    assert is_open
                    is_open = eager = False
                case ProbablyEnded():
                    assert is_open
                    assert not eager
                    eager = True
                case NotEnded():
                    assert eager
                    eager = False
                case _:
                    assert is_open
        now += ms / 1000
        assert is_open == (machine.state is not State.QUIET)
        assert (machine.deadline is None) == (machine.state is State.QUIET)


@example(
    Turns(patience_ms=600, stall_ms=0, longest_ms=2000, nothing_ms=0),
    [(SpeechStarted(True), 1797), (EndOfTurn("hi"), 205), (SpeechStarted(True), 700)],
)
@given(_TURNS, st.lists(st.tuples(_HEARING, st.integers(0, 2500)), min_size=1, max_size=80))
def test_no_turn_is_longer_than_the_longest_and_what_is_waited_for_after_it(
    turns: Turns, play: list[tuple[Hearing, int]]
) -> None:
    machine, now = Listening(turns), 0.0
    began: float | None = None
    most = (turns.longest_ms + max(turns.patience_ms, turns.ask_ms) + 1) / 1000
    for event, ms in play:
        decided = [(it, now) for it in machine.hear(event, now)]
        end = now + ms / 1000
        while machine.deadline is not None and machine.deadline <= end:
            at = max(now, machine.deadline)
            decided += [(it, at) for it in machine.tick(at)]
        for decision, at in decided:
            if isinstance(decision, Began):
                began = at
            if isinstance(decision, Ended | Faded):
                assert began is not None
                assert at - began <= most
                began = None
        now = end


@given(st.lists(st.tuples(_SAID, st.sampled_from([100, 500, 5000])), max_size=12))
def test_what_a_provider_ends_is_in_exactly_one_turn(said: list[tuple[str, int]]) -> None:
    for turns in (Turns(), PATIENT):
        machine, now, ended = Listening(turns), 0.0, list[str]()
        for text, ms in said:
            decided = [
                *machine.hear(SpeechStarted(), now),
                *machine.hear(Partial(text[:1]), now),
                *machine.hear(EndOfTurn(text), now),
                *pass_time(machine, now, ms),
            ]
            ended += [it.text for it in decided if isinstance(it, Ended)]
            now += ms / 1000
        ended += [it.text for it in pass_time(machine, now, 60_000) if isinstance(it, Ended)]
        assert " ".join(ended) == " ".join(text for text, _ in said)
