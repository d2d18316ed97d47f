import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shared import messages
from tests.virtual_time import settled, virtual_time
from worker.history import History
from worker.minutes import PATIENCE_SECONDS, SOMEBODY, Minutes
from worker.turn import Turn
from worker.turn_times import TurnTimes
from worker.utterance import Utterance


class Room:
    """Minutes, and everything that is told of them."""

    def __init__(self) -> None:
        self.said: list[messages.Said] = []
        self.turns: list[Turn] = []
        self.history = History()
        times = TurnTimes(asyncio.get_running_loop().time, lambda _: None)
        self.minutes = Minutes(
            self.said.append, self.history, times, lambda: 7.0, self.turns.append
        )

    def utterance(self, text: str, *, corrected: bool = False) -> Any:
        """Begin one; its end is up to the test."""
        utterance = Utterance(lambda *_: None, interruptible=True, held=False, reply=True)
        utterance.speech.words(text)
        utterance.speech.text_complete = True
        utterance.first_audio_at = 0.0
        line = self.minutes.agent(utterance, corrected=corrected)
        return utterance, line

    def lines(self) -> list[tuple[str, str]]:
        """Return what was told."""
        return [(it.role, it.text) for it in self.said]


@virtual_time
async def test_lines_are_told_in_their_order_whenever_they_become_known() -> None:
    room = Room()
    room.minutes.caller_turn("1")
    first, _ = room.utterance("one")
    room.minutes.caller_turn("2")
    second, _ = room.utterance("two")
    second.ended.set_result(True)
    room.minutes.caller_said("2", "b")
    await settled()
    assert room.lines() == []
    first.ended.set_result(True)
    await settled()
    assert room.lines() == []
    room.minutes.caller_said("1", "a")
    assert room.lines() == [("caller", "a"), ("agent", "one"), ("caller", "b"), ("agent", "two")]
    room.minutes.close()
    assert [(it.number, it.caller, it.agent) for it in room.turns] == [
        (1, "a", "one"),
        (2, "b", "two"),
    ]


@virtual_time
async def test_a_turn_without_words_holds_nobody_up_for_long() -> None:
    room = Room()
    room.minutes.caller_turn("1")
    first, _ = room.utterance("one")
    first.ended.set_result(True)
    await asyncio.sleep(PATIENCE_SECONDS - 0.1)
    assert room.lines() == []
    await asyncio.sleep(0.2)
    assert room.lines() == [("agent", "one")]
    room.minutes.close()


@virtual_time
async def test_words_without_a_known_turn_belong_to_the_one_that_showed_by_its_answer() -> None:
    room = Room()
    room.minutes.caller_turn(SOMEBODY)
    assert room.minutes.knows("whatever")
    room.minutes.caller_said("whatever", "a")
    assert not room.minutes.knows("more")
    assert room.lines() == [("caller", "a")]
    room.minutes.close()


@virtual_time
async def test_a_line_that_was_heard_whole_is_not_corrected() -> None:
    room = Room()
    utterance, line = room.utterance("one two", corrected=True)
    utterance.ended.set_result(True)
    await settled()
    room.minutes.corrected(line, "one")
    assert room.lines() == [("agent", "one two")]
    room.minutes.close()


@virtual_time
async def test_the_end_of_the_call_tells_what_there_is() -> None:
    room = Room()
    room.minutes.caller_turn("1")
    utterance, _ = room.utterance("one")
    utterance.ended.set_result(True)
    await settled()
    room.minutes.close()
    assert room.lines() == [("agent", "one")]
    assert len(room.turns) == 1


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from("tsaewlc."), max_size=40), st.randoms())
def test_no_order_of_events_loses_or_repeats_a_line(steps: list[str], random: Any) -> None:
    async def play() -> None:
        room = Room()
        turns: list[str] = []
        said: set[str] = set()
        open_: list[Any] = []
        for number, step in enumerate(steps):
            match step:
                case "t":
                    turns.append(str(number))
                    room.minutes.caller_turn(str(number))
                case "s" if turns:
                    key = random.choice(turns)
                    if room.minutes.knows(key):
                        said.add(key)
                        room.minutes.caller_said(key, f"turn {key}")
                case "a":
                    open_.append(room.utterance(f"words {number}")[0])
                case "e" | "w" if open_:
                    open_.pop(random.randrange(len(open_))).ended.set_result(step == "e")
                case "l":
                    room.minutes.lost()
                case "c":
                    room.minutes.close_turn()
                case ".":
                    await asyncio.sleep(1)
            await asyncio.sleep(0)
        for utterance in open_:
            utterance.ended.set_result(True)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        room.minutes.close()
        told = [line.text for line in room.said if line.role == "caller"]
        assert sorted(told) == sorted(f"turn {key}" for key in said)
        assert len(room.turns) == len(turns)
        assert [turn.number for turn in room.turns] == sorted(turn.number for turn in room.turns)
        agents = [it.text for it in room.said if it.role == "agent" and it.text]
        assert len(agents) == len(set(agents))

    virtual_time(play)()
