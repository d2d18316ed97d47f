from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.turns.script import After, Left, Script, pass_time
from worker.turns.agent import (
    Commit,
    Key,
    Overhear,
    Pause,
    Resume,
    Silent,
    Speaks,
    Take,
    Thinks,
)
from worker.turns.caller import Began, Ended, Faded, Sounds, Stopped, Words
from worker.turns.floor import MOST_IN_VAIN, TABLE, Deadline, Event, Floor, State
from worker.turns.policy import Turns, Utterance

MUCH = Left(20_000)
LITTLE = Left(400)


def script(turns: Turns | None = None) -> Script:
    return Script(Floor(turns or Turns()))


def speaking(left: Left = MUCH, turns: Turns | None = None) -> Script:
    return script(turns) >> Speaks() >> left


def take(text: str) -> Take:
    return Take(Utterance(text))


# Every row of the table ------------------------------------------------------------------------

WAY: dict[State, tuple[Any, ...]] = {
    State.OPEN: (),
    State.THINKING: (Thinks(),),
    State.SPEAKING: (Speaks(), MUCH),
    State.PROTECTED: (Speaks(interruptible=False), MUCH),
    State.PAUSED: (Speaks(), MUCH, Began()),
}
"""How each state is come to."""


@dataclass(frozen=True)
class Row:
    """What an event brings, and the state it leads to."""

    event: Any
    decides: tuple[Any, ...]
    state: str


ROWS: dict[tuple[State, type], Row] = {
    (State.OPEN, Thinks): Row(Thinks(), (), "THINKING"),
    (State.OPEN, Speaks): Row(Speaks(), (), "SPEAKING"),
    (State.OPEN, Faded): Row(Faded(), (), "OPEN"),
    (State.OPEN, Ended): Row(Ended("yeah"), (take("yeah"),), "OPEN"),
    (State.THINKING, Speaks): Row(Speaks(interruptible=False), (), "PROTECTED"),
    (State.THINKING, Silent): Row(Silent(), (), "OPEN"),
    (State.THINKING, Words): Row(Words("and"), (Commit(),), "OPEN"),
    (State.THINKING, Faded): Row(Faded(), (), "THINKING"),
    (State.THINKING, Ended): Row(Ended("and"), (Commit(), take("and")), "OPEN"),
    (State.THINKING, Key): Row(Key(), (Commit(),), "OPEN"),
    (State.SPEAKING, Speaks): Row(Speaks(interruptible=False), (), "PROTECTED"),
    (State.SPEAKING, Silent): Row(Silent(), (), "OPEN"),
    (State.SPEAKING, Thinks): Row(Thinks(), (), "THINKING"),
    (State.SPEAKING, Began): Row(Began(), (Pause(),), "PAUSED"),
    (State.SPEAKING, Words): Row(Words("no"), (Pause(), Commit()), "OPEN"),
    (State.SPEAKING, Ended): Row(Ended("no"), (Commit(), take("no")), "OPEN"),
    (State.SPEAKING, Key): Row(Key(), (Commit(),), "OPEN"),
    (State.PROTECTED, Speaks): Row(Speaks(), (), "SPEAKING"),
    (State.PROTECTED, Silent): Row(Silent(), (), "OPEN"),
    (State.PROTECTED, Thinks): Row(Thinks(), (), "THINKING"),
    (State.PROTECTED, Ended): Row(Ended("no"), (take("no"),), "PROTECTED"),
    (State.PAUSED, Speaks): Row(Speaks(interruptible=False), (Resume(),), "PROTECTED"),
    (State.PAUSED, Silent): Row(Silent(), (Resume(),), "OPEN"),
    (State.PAUSED, Thinks): Row(Thinks(), (Resume(),), "THINKING"),
    (State.PAUSED, Sounds): Row(Sounds(True), (), "PAUSED"),
    (State.PAUSED, Stopped): Row(Stopped(), (), "PAUSED"),
    (State.PAUSED, Words): Row(Words("no"), (Commit(),), "OPEN"),
    (State.PAUSED, Faded): Row(Faded(), (Resume(),), "SPEAKING"),
    (State.PAUSED, Ended): Row(Ended("no"), (Commit(), take("no")), "OPEN"),
    (State.PAUSED, Key): Row(Key(), (Commit(),), "OPEN"),
    (State.PAUSED, Deadline): Row(After(2000), (Resume(),), "SPEAKING"),
}


def _in(state: State) -> Script:
    it = script()
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


_EVENTS: tuple[Event, ...] = (
    *(Thinks(), Speaks(), Silent(), Key(), Began(), Sounds(), Stopped(), Words("no"), Faded()),
    Ended("no"),
)


@pytest.mark.parametrize(
    ("state", "event"),
    [(s, e) for s in State for e in _EVENTS if (s, type(e)) not in TABLE],
    ids=str,
)
def test_an_event_that_means_nothing_changes_nothing(state: State, event: Event) -> None:
    it = _in(state)
    before = it.machine.state, it.machine.deadline
    (it >> event).ends()
    assert (it.machine.state, it.machine.deadline) == before


@pytest.mark.parametrize("state", State)
def test_a_pause_has_a_deadline_and_nothing_else_has(state: State) -> None:
    assert (_in(state).machine.deadline is not None) == (state is State.PAUSED)


def test_a_floor_that_is_woken_too_early_does_nothing() -> None:
    machine = Floor(Turns())
    assert machine.tick(9e9) == []
    machine.take(Speaks(), 1.0)
    machine.take(Began(), 1.0)
    assert machine.tick(1.5) == []
    assert machine.state is State.PAUSED


# Pause, commit, resume --------------------------------------------------------------------------


def test_words_take_the_floor_and_the_turn_is_answered() -> None:
    it = speaking() >> Began() << Pause() >> After(300) >> Words("wait") << Commit()
    (it >> Silent() >> After(800) >> Ended("wait a moment") << take("wait a moment")).ends("OPEN")


def test_a_noise_holds_the_agent_up_until_it_fades() -> None:
    it = speaking() >> Began() << Pause() >> After(1200) >> Faded() << Resume()
    it.ends("SPEAKING")


def test_when_nothing_is_recognised_in_time_the_agent_goes_on() -> None:
    (speaking() >> Began() << Pause() >> After(2000) << Resume()).ends("SPEAKING")


def test_a_turn_in_which_nothing_was_understood_lets_the_agent_go_on() -> None:
    (speaking() >> Began() << Pause() >> Ended("") << Resume()).ends("SPEAKING")


@pytest.mark.parametrize("text", ["mhm", "Uh-huh.", "yeah, okay", "Mm hmm"])
def test_a_backchannel_is_overheard_and_the_agent_goes_on(text: str) -> None:
    it = speaking() >> Began() << Pause() >> Words(text) >> After(500)
    (it >> Ended(text) << Overhear(text) << Resume()).ends("SPEAKING")


def test_marks_alone_are_no_words() -> None:
    it = speaking() >> Began() << Pause() >> Words("...") >> Ended("...") << Resume()
    it.ends("SPEAKING")


def test_a_backchannel_that_turns_into_words_takes_the_floor() -> None:
    it = speaking() >> Began() << Pause() >> Words("yeah") >> After(400)
    (it >> Words("yeah but tomorrow") << Commit()).ends("OPEN")


def test_a_backchannel_whose_end_nobody_tells_does_not_stop_the_agent() -> None:
    it = speaking() >> Began() << Pause() >> After(300) >> Words("yeah") >> After(1200) << Resume()
    (it >> After(2000) >> Ended("yeah") << Overhear("yeah")).ends("SPEAKING")


def test_the_same_backchannel_again_does_not_pause_again() -> None:
    it = speaking() >> Began() << Pause() >> Words("yeah") >> After(1500) << Resume()
    (it >> Words("Yeah.")).ends("SPEAKING")


def test_words_after_the_agent_went_on_pause_it_again_and_take_the_floor() -> None:
    it = speaking() >> Began() << Pause() >> After(2000) << Resume()
    (it >> Words("stop") << Pause() << Commit()).ends("OPEN")


def test_a_sound_that_lasts_takes_the_floor_without_a_word() -> None:
    (speaking() >> Began(True) << Pause() >> After(1500) << Commit()).ends("OPEN")


def test_a_short_sound_whose_words_take_their_time_does_not_count_by_its_length() -> None:
    it = speaking() >> Began(True) << Pause() >> After(300) >> Stopped() >> After(1600)
    (it >> After(110) << Resume()).ends("SPEAKING")


def test_a_sound_that_begins_again_in_a_pause_counts_from_there() -> None:
    it = speaking() >> Began(True) << Pause() >> After(300) >> Stopped() >> After(600)
    it = it >> Sounds(True) >> After(1400)
    (it >> After(110) << Commit()).ends("OPEN")


def test_a_lasting_backchannel_takes_the_floor_by_its_length() -> None:
    it = speaking() >> Began(True) << Pause() >> Words("yeah yeah") >> After(1500) << Commit()
    (it >> Ended("yeah yeah yeah") << take("yeah yeah yeah")).ends()


def test_fewer_words_than_it_takes_wait_for_more_and_count_by_their_length() -> None:
    it = speaking(turns=Turns(interrupt_words=3)) >> Began() << Pause() >> Words("no wait")
    (it >> After(1500) << Commit()).ends("OPEN")


def test_a_whole_turn_takes_the_floor_however_short() -> None:
    it = speaking(turns=Turns(interrupt_words=3)) >> Began() << Pause() >> Words("no")
    (it >> Ended("no") << Commit() << take("no")).ends("OPEN")


def test_a_key_in_a_pause_takes_the_floor() -> None:
    (speaking() >> Began() << Pause() >> Key() << Commit()).ends("OPEN")


def test_what_took_the_floor_by_its_length_and_was_not_understood_is_the_agents_to_answer() -> None:
    it = speaking() >> Began(True) << Pause() >> After(1500) << Commit() >> Silent()
    (it >> Faded() << take("")).ends("OPEN")


# Nearly done -----------------------------------------------------------------------------------


def test_an_agent_that_is_nearly_done_is_being_answered() -> None:
    it = speaking(LITTLE) >> Began() << Pause() >> Words("yeah") << Commit()
    (it >> Silent() >> Ended("yeah") << take("yeah")).ends("OPEN")


def test_an_answer_whose_words_come_with_its_end_is_taken_while_the_reply_still_unwinds() -> None:
    it = speaking(LITTLE) >> Began() << Pause() >> Words("yeah") << Commit()
    (it >> Thinks() >> Left(None) >> Ended("yeah") << Commit() << take("yeah")).ends("OPEN")


def test_words_that_are_enough_only_since_the_agent_is_nearly_done_need_no_sound_before() -> None:
    (speaking(LITTLE) >> Words("okay") << Pause() << Commit()).ends("OPEN")


def test_a_silent_agent_takes_a_backchannel_for_an_answer() -> None:
    (script() >> Began() >> Words("yeah") >> Ended("yeah") << take("yeah")).ends("OPEN")


def test_a_backchannel_while_an_answer_is_prepared_is_overheard() -> None:
    it = script() >> Thinks() >> Began() >> Words("okay")
    (it >> Ended("okay") << Overhear("okay")).ends("THINKING")


# Thinking --------------------------------------------------------------------------------------


def test_a_caller_who_goes_on_while_an_answer_is_prepared_gets_one_to_all_of_it() -> None:
    it = script() >> Ended("a table") << take("a table") >> Thinks()
    it = it >> Began() >> Words("for two") << Commit()
    (it >> Silent() >> Ended("for two") << take("for two")).ends("OPEN")


def test_the_floor_is_taken_once_a_turn() -> None:
    it = speaking() >> Began() << Pause() >> Words("no") << Commit() >> Thinks()
    (it >> Words("no I") >> Words("no I said")).ends("THINKING")


def test_a_noise_while_an_answer_is_prepared_changes_nothing() -> None:
    (script() >> Thinks() >> Began() >> Faded() >> Began() >> Ended("")).ends("THINKING")


def test_an_answer_that_is_ready_waits_for_a_caller_who_is_speaking() -> None:
    it = script() >> Thinks() >> Began(True) >> Speaks() << Pause() >> After(500)
    (it >> Words("for two") << Commit()).ends("OPEN")


def test_an_answer_that_waited_for_a_noise_is_given() -> None:
    it = script() >> Thinks() >> Began(True) >> Speaks() << Pause() >> After(500) >> Stopped()
    (it >> After(700) >> Faded() << Resume()).ends("SPEAKING")


@pytest.mark.parametrize("before", [(Began(False),), (Began(True), Stopped())])
def test_an_answer_does_not_wait_for_a_sound_that_may_be_over(before: tuple[Event, ...]) -> None:
    it = script() >> Thinks()
    for event in before:
        it = it >> event
    (it >> Speaks()).ends("SPEAKING")


@pytest.mark.parametrize("speaks", [Speaks(), Speaks(interruptible=False)])
def test_what_is_no_answer_or_must_be_heard_waits_for_nobody(speaks: Speaks) -> None:
    it = script() if speaks.interruptible else script() >> Thinks()
    (it >> Began(True) >> speaks).ends("SPEAKING" if speaks.interruptible else "PROTECTED")


# Protected -------------------------------------------------------------------------------------


def test_an_agent_that_cannot_be_interrupted_answers_afterwards() -> None:
    it = script() >> Speaks(interruptible=False) >> MUCH >> Began() >> Words("but why")
    (it >> Ended("but why") << take("but why") >> Key()).ends("PROTECTED")


@pytest.mark.parametrize("text", ["", "...", "mhm"])
def test_noise_and_backchannels_into_protected_speech_need_no_answer(text: str) -> None:
    it = script() >> Speaks(interruptible=False) >> MUCH >> Began() >> Ended(text)
    if text == "mhm":
        it = it << Overhear(text)
    it.ends("PROTECTED")


def test_the_answer_to_a_protected_question_may_come_before_its_end() -> None:
    it = script() >> Speaks(interruptible=False) >> LITTLE >> Began() >> Words("yeah")
    (it >> Ended("yeah") << take("yeah")).ends("PROTECTED")


def test_a_pause_of_speech_that_becomes_protected_is_over() -> None:
    it = speaking() >> Began() << Pause() >> Speaks(interruptible=False) << Resume()
    (it >> After(9000) >> Words("no")).ends("PROTECTED")


def test_a_pause_of_speech_that_is_gone_is_over() -> None:
    it = speaking() >> Began() << Pause() >> Silent() << Resume() >> After(9000)
    (it >> Ended("hello") << take("hello")).ends("OPEN")


# A noisy room ----------------------------------------------------------------------------------


def test_a_noisy_room_does_not_silence_an_agent() -> None:
    it = speaking()
    for _ in range(MOST_IN_VAIN):
        it = it >> Began() << Pause() >> After(1200) >> Faded() << Resume()
    it = it >> Began() >> Faded() >> Began()
    (it >> Words("excuse me") << Pause() << Commit()).ends("OPEN")


@pytest.mark.parametrize("between", [Silent(), Thinks()])
def test_the_next_thing_it_says_may_be_paused_again(between: Event) -> None:
    it = speaking()
    for _ in range(MOST_IN_VAIN):
        it = it >> Began() << Pause() >> Faded() << Resume()
    (it >> between >> Speaks() >> Began() << Pause()).ends("PAUSED")


# Whatever comes --------------------------------------------------------------------------------

_TEXT = st.sampled_from(["", "...", "mhm", "yeah", "no", "two of us"])
_EVENT = st.one_of(
    st.builds(Began, st.booleans()),
    st.builds(Sounds, st.booleans()),
    st.just(Stopped()),
    st.builds(Words, _TEXT),
    st.just(Faded()),
    st.builds(Ended, _TEXT),
    st.builds(Speaks, st.booleans()),
    st.sampled_from([Thinks(), Silent(), Key()]),
)
_PLAY = st.lists(
    st.tuples(_EVENT, st.sampled_from([0, 20, 400, 1500, 9000]), st.sampled_from([None, 1, 9e4])),
    max_size=60,
)


@given(_PLAY)
def test_what_is_paused_goes_on_or_is_given_up_whatever_comes(
    play: list[tuple[Event, int, float | None]],
) -> None:
    machine, now, paused = Floor(Turns()), 0.0, False
    for event, ms, left in play:
        for decision in [*machine.take(event, now, left), *pass_time(machine, now, ms)]:
            match decision:
                case Pause():
                    assert not paused
                    paused = True
                case Commit():
                    paused = False
                case Resume():
                    assert paused
                    paused = False
                case Take(utterance):
                    assert not paused
                    assert utterance.text == getattr(event, "text", "")
                case Overhear(text):
                    assert text == getattr(event, "text", None)
        now += ms / 1000
        assert paused == (machine.state is State.PAUSED)
        assert (machine.deadline is not None) == paused


@given(_PLAY, st.sampled_from(["no", "two of us", "wait"]))
def test_a_turn_with_words_is_answered_or_overheard_exactly_once(
    play: list[tuple[Event, int, float | None]], text: str
) -> None:
    machine, now = Floor(Turns()), 0.0
    for event, ms, left in play:
        machine.take(event, now, left)
        pass_time(machine, now, ms)
        now += ms / 1000
    decided = [*machine.take(Began(), now), *machine.take(Ended(text), now)]
    assert sum(isinstance(it, Take | Overhear) for it in decided) == 1
