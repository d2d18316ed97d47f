"""What happens to a speech-to-speech model out of order: losses, takeovers, tools beside them."""

import asyncio
from typing import Any

import pytest

from shared import messages
from tests.virtual_time import settled, virtual_time
from tests.worker.conversing import Live, clerk
from tests.worker.playbook import OVER, STREAM, After, Caller, Ears, Voice
from tests.worker.scripted_llm import Model, call
from tests.worker.scripted_speech import Speech, talker
from tests.worker.test_duplex import FRAME, LOST, Desk, lines
from worker import speech
from worker.agent import Agent
from worker.llm import Item, Returned, Said
from worker.stages import Stage
from worker.tools import tool
from worker.turn import Turn
from worker.turns import Turns

GREETING = "Good evening."


def said(items: tuple[Item, ...]) -> list[str]:
    return [it.text for it in items if isinstance(it, Said)]


# Losses before anything is heard -----------------------------------------------------------------


@virtual_time
async def test_a_greeting_that_was_made_before_the_model_was_lost_is_said_once() -> None:
    first, second = Speech(), Speech()
    play = Live(talker([first, second], greeting=GREETING))
    await settled()
    first.says(GREETING)
    first.fails(LOST)
    await settled()
    assert said(second.openings[0].items) == [GREETING]
    await (play >> STREAM >> After(1))
    assert lines(play) == [("agent", GREETING, False)]
    assert second.asked == []
    await play.finished()


@virtual_time
async def test_half_a_greeting_of_a_lost_model_is_dropped_and_the_next_one_greets() -> None:
    first, second = Speech(), Speech()
    play = Live(talker([first, second], greeting=GREETING))
    await settled()
    first.says("Good eve", whole=False)
    first.fails(LOST)
    await settled()
    assert (second.openings[0].items, second.openings[0].greeting) == ((), GREETING)
    second.says(GREETING)
    await (play >> STREAM >> After(1))
    assert lines(play) == [("agent", GREETING, False)]
    assert second.asked == []
    await play.finished()


@virtual_time
async def test_a_cascade_greets_for_a_model_that_was_lost_while_the_phone_rang() -> None:
    async def on_ringing(self: Agent) -> None:
        self.state["name"] = "Ann"

    model, voice = Speech(), Voice()
    agent = clerk(
        Model(), tts=voice, speech=model, greeting="Hello {{ state.name }}.", on_ringing=on_ringing
    )
    play = Live(agent)
    await settled()
    model.fails(LOST)
    await settled()
    await (play >> STREAM >> After(1))
    assert play.said("agent") == ["Hello Ann."]
    await play.finished()


@virtual_time
async def test_a_cascade_that_serves_from_the_start_greets_and_does_not_apologise() -> None:
    model = Speech(delay=9)
    play = Live(clerk(Model(), speech=model, greeting=GREETING))
    await settled()
    await (play >> STREAM >> After(6))
    assert play.said("agent") == [GREETING]
    await play.finished()


@virtual_time
async def test_what_the_caller_says_before_the_model_is_there_is_heard() -> None:
    model = Speech(delay=1)
    play = Live(talker(model))
    await settled()
    await (play >> STREAM >> Caller(FRAME) >> After(2) >> Caller(FRAME))
    assert bytes(model.heard) == FRAME * 2
    await play.finished()


# Losses in mid-call ------------------------------------------------------------------------------


@virtual_time
async def test_an_answer_that_broke_off_is_part_of_what_the_next_model_is_told() -> None:
    first, second = Speech(), Speech()
    play = await (Live(talker([first, second])) >> STREAM)
    first.hears("a table")
    key = first.says("one two three", whole=False)
    spoken = [speech.Timing("one", 0, 30), speech.Timing("two", 40, 70)]
    first.happens(speech.AgentTimed(key, spoken))
    await (play >> After(0.05))
    first.fails(LOST)
    await (play >> After(2))
    items = second.openings[0].items
    assert said(items) == ["a table", "one two"]
    assert second.asked == [Agent.sorry]
    await play.finished()


@virtual_time
async def test_a_caller_whose_words_were_lost_with_the_model_is_asked_to_say_them_again() -> None:
    first, second = Speech(), Speech()
    play = await (Live(talker([first, second])) >> STREAM)
    first.happens(speech.CallerStarted(), speech.CallerStopped(), speech.CallerTurn("t"))
    first.fails(LOST)
    await (play >> After(1))
    assert second.asked == [Agent.sorry]
    await play.finished()


@virtual_time
async def test_a_caller_in_mid_sentence_when_the_model_is_lost_is_asked_to_say_it_again() -> None:
    first, second = Speech(), Speech()
    play = await (Live(talker([first, second])) >> STREAM)
    first.happens(speech.CallerStarted())
    first.fails(LOST)
    await (play >> After(1))
    assert second.asked == [Agent.sorry]
    await play.finished()


@virtual_time
async def test_a_caller_whose_words_are_known_is_answered_and_not_asked_again() -> None:
    first, second = Speech(), Speech()
    play = await (Live(talker([first, second])) >> STREAM)
    first.hears("a table")
    first.fails(LOST)
    await (play >> After(1))
    assert said(second.openings[0].items) == ["a table"]
    assert second.asked == []
    await play.finished()


@virtual_time
async def test_what_the_agent_says_while_a_model_is_replaced_is_said_by_the_next() -> None:
    first, second = Speech(), Speech(delay=1)
    play = await (Live(talker([first, second])) >> STREAM)
    first.fails(LOST)
    await settled()
    saying = asyncio.get_running_loop().create_task(play.agent.say("We close at ten."))
    await (play >> After(3))
    assert second.asked == ["We close at ten."]
    assert saying.result() == "We close at ten."
    await play.finished()


@virtual_time
async def test_what_a_lost_model_was_asked_to_say_is_said_by_the_next() -> None:
    first, second = Speech(repeats=False), Speech()
    play = await (Live(talker([first, second])) >> STREAM)
    saying = asyncio.get_running_loop().create_task(play.agent.say("We close at ten."))
    await settled()
    first.fails(LOST)
    await (play >> After(3))
    assert second.asked == ["We close at ten."]
    assert saying.result() == "We close at ten."
    await play.finished()


@virtual_time
async def test_what_a_lost_model_was_asked_to_say_is_said_by_the_cascade() -> None:
    first = Speech(repeats=False)
    play = await (Live(clerk(Model(), speech=first)) >> STREAM)
    saying = asyncio.get_running_loop().create_task(play.agent.say("We close at ten."))
    await settled()
    first.fails(LOST)
    await (play >> After(4))
    assert saying.result() == "We close at ten."
    await play.finished()


@virtual_time
async def test_keys_that_are_pressed_while_a_model_is_replaced_are_told_to_the_next() -> None:
    first, second = Speech(), Speech(delay=1)
    play = await (Live(talker([first, second])) >> STREAM)
    first.fails(LOST)
    await settled()
    await (play >> messages.Dtmf("4") >> messages.Dtmf("#") >> After(2))
    assert second.told == ["(The caller pressed the keys 4.)"]
    await play.finished()


@virtual_time
async def test_a_tool_that_returns_while_a_model_is_replaced_is_told_to_the_next() -> None:
    first, second = Speech(), Speech(delay=1)
    play = await (Live(talker([first, second], Desk)) >> STREAM)
    first.wants("book", '{"people": 2}')
    await (play >> After(0.1))
    first.fails(LOST)
    await (play >> After(3))
    assert second.told == ["(book has returned: Booked for 2.)"]
    await play.finished()


@virtual_time
async def test_the_next_model_knows_that_a_tool_is_still_running() -> None:
    first, second = Speech(), Speech()
    play = await (Live(talker([first, second], Desk)) >> STREAM)
    first.wants("book", '{"people": 2}')
    await (play >> After(0.1))
    first.fails(LOST)
    await settled()
    note = 'book was called with {"people": 2} and is at work; its result will follow.'
    assert second.openings[0].items[-1] == Said("system", note)
    assert not any(isinstance(it, Returned) for it in second.openings[0].items)
    await (play >> After(2))
    await play.finished()


@virtual_time
async def test_a_stage_that_is_entered_while_a_model_is_replaced_is_told_to_the_next() -> None:
    stages = {"talk": Stage("Talk."), "summary": Stage("Sum up.")}
    first, second = Speech(), Speech(delay=1)
    play = await (Live(talker([first, second], stages=stages)) >> STREAM)
    first.fails(LOST)
    await settled()
    play.agent.enter("summary")
    await (play >> After(2))
    assert second.openings == [] or second.openings[0].brief.system in ("Talk.", "Sum up.")
    told = [it.system for it in (second.openings[0].brief, *second.briefs)]
    assert told[-1] == "Sum up."
    await play.finished()


@virtual_time
async def test_a_model_that_was_left_while_it_was_replaced_does_not_come_back() -> None:
    first, second = Speech(), Speech(delay=1)
    colleague = clerk(Model("Yes."))
    play = await (Live(talker([first, second], colleagues=(colleague,))) >> STREAM)
    first.fails(LOST)
    await settled()
    await play.agent.hand_over(colleague)
    await (play >> After(3))
    assert not play.session.conversation.duplex.active
    assert second.closed == len(second.openings)
    await play.asks("hello")
    assert play.said("agent") == ["Yes."]
    await play.finished()


@virtual_time
async def test_a_model_lost_while_a_colleagues_is_connected_is_not_replaced_beside_it() -> None:
    first, spare, other = Speech(), Speech(), Speech(delay=1)
    colleague = talker(other)
    play = await (Live(talker([first, spare], colleagues=(colleague,))) >> STREAM)
    handing = asyncio.get_running_loop().create_task(play.agent.hand_over(colleague))
    await settled()
    first.fails(LOST)
    await (play >> After(3))
    await handing
    assert play.session.conversation.duplex.session is other
    assert len(other.openings) == 1
    assert spare.closed == len(spare.openings)
    await play.finished()


@virtual_time
async def test_two_models_that_fail_in_turn_are_tried_again_after_a_minute() -> None:
    first, second = Speech(), Speech()
    agent = talker([first, second], turns=Turns(silence_s=None))
    play = await (Live(agent) >> STREAM)
    first.fails(LOST)
    await (play >> After(70))
    second.fails(LOST)
    await (play >> After(1))
    assert len(first.openings) == 2
    first.hears("hello")
    first.says("Yes.")
    await (play >> After(1))
    assert lines(play)[-1] == ("agent", "Yes.", False)
    await play.finished()


# Who minds what after a takeover -----------------------------------------------------------------


@virtual_time
async def test_silence_is_minded_by_the_call_once_a_service_that_did_is_gone() -> None:
    first, second = Speech(minds_silence=True), Speech()
    turns = Turns(silence_s=5, still_there="Still there?")
    play = await (Live(talker([first, second], turns=turns)) >> STREAM)
    first.fails(LOST)
    await (play >> After(6))
    assert second.asked == ["Still there?"]
    await play.finished()


@virtual_time
async def test_silence_is_left_to_a_service_that_takes_over_and_minds_it() -> None:
    first, second = Speech(), Speech(minds_silence=True)
    turns = Turns(silence_s=5, still_there="Still there?")
    play = await (Live(talker([first, second], turns=turns)) >> STREAM)
    first.fails(LOST)
    await (play >> After(60))
    assert second.asked == []
    await play.finished()


@virtual_time
async def test_a_cascade_that_takes_over_does_not_make_the_call_any_longer() -> None:
    model = Speech()
    turns = Turns(silence_s=None, longest_s=30, warn_s=0, time_up="Time is up.")
    play = await (Live(clerk(Model(), speech=model, turns=turns)) >> STREAM)
    model.says("Hello.")
    await (play >> After(20))
    model.fails(LOST)
    await (play >> After(14))
    assert play.said("agent") == ["Hello.", Agent.sorry, "Time is up."]
    await play.finished()


@virtual_time
async def test_a_caller_who_waits_for_a_tool_is_not_asked_whether_he_is_there() -> None:
    model = Speech()
    turns = Turns(silence_s=5, still_there="Still there?")
    play = await (Live(talker(model, Desk, turns=turns)) >> STREAM)
    model.hears("well")
    model.wants("dawdle")
    await (play >> After(34))
    assert model.asked == []
    await (play >> After(22))
    assert model.asked == ["Still there?"]
    await play.finished()


# Hand-overs --------------------------------------------------------------------------------------


@virtual_time
async def test_a_tool_that_hands_over_to_another_model_is_not_answered_to_that_one() -> None:
    first, second = Speech(), Speech()
    colleague = talker(second, instructions="You are the clerk.")

    class Passing:
        @tool
        async def to_clerk(self) -> str:
            """Hand over."""
            await self.hand_over(colleague)  # type: ignore[attr-defined]
            return "The clerk has the call."

    play = await (Live(talker(first, Passing, colleagues=(colleague,))) >> STREAM)
    first.hears("the clerk, please")
    first.wants("to_clerk")
    await (play >> After(1))
    assert first.closed == 1
    assert second.answers == []
    assert second.told == ["(to_clerk has returned: The clerk has the call.)"]
    assert not play.session.conversation.duplex.tools.at_work
    await play.finished()


# Interruptions -----------------------------------------------------------------------------------


@virtual_time
async def test_a_protected_utterance_that_the_service_cuts_does_not_silence_what_follows() -> None:
    model = Speech()
    play = await (Live(talker(model, greeting="Hear me.", greeting_interruptible=False)) >> STREAM)
    model.says("Hear me", whole=False)
    await (play >> After(0.02))
    model.happens(speech.AgentCut())
    await (play >> After(1))
    model.hears("hello")
    model.says("Yes.")
    await (play >> After(1))
    assert lines(play)[-1] == ("agent", "Yes.", False)
    await play.finished()


@virtual_time
async def test_an_interruption_before_any_audio_leaves_nothing_behind() -> None:
    model = Speech()
    play = await (Live(talker(model)) >> STREAM)
    model.hears("a table")
    model.happens(speech.AgentWords("u", "For how"), speech.AgentCut(), speech.AgentCut())
    await settled()
    assert [key for key, _ in model.cuts] == ["u"]
    model.hears("for two")
    model.says("Done.")
    await (play >> After(1))
    assert lines(play) == [
        ("caller", "a table", False), ("caller", "for two", False), ("agent", "Done.", False),
    ]  # fmt: skip
    await play.finished()


@virtual_time
async def test_only_the_first_words_of_a_call_are_protected() -> None:
    model = Speech()
    play = await (Live(talker(model, greeting_interruptible=False)) >> STREAM)
    model.hears("hello")
    key = model.says("one two three four")
    await (play >> After(0.085))
    model.happens(speech.AgentCut())
    await settled()
    assert [it[0] for it in model.cuts] == [key]
    await play.finished()


# Times -------------------------------------------------------------------------------------------


def stages_of(play: Live, number: int) -> dict[str, float]:
    stages: dict[str, float] = {}
    for told in play.told(messages.TurnTimed):
        if told.number == number:
            stages |= told.stages
    return stages


@virtual_time
async def test_a_sound_long_before_a_turn_is_not_its_end() -> None:
    model = Speech()
    agent = talker(model, turns=Turns(silence_s=None))
    play = await (Live(agent) >> STREAM)
    model.happens(speech.CallerStarted(), speech.CallerStopped())
    await (play >> After(30))
    model.happens(speech.CallerStarted(), speech.CallerTurn("t"), speech.CallerSaid("t", "well"))
    model.says("Yes.")
    await (play >> After(1))
    assert "caller_stopped" not in stages_of(play, 1)
    await play.finished()


@virtual_time
async def test_a_turn_that_showed_by_its_answer_is_timed_from_the_end_of_the_sound() -> None:
    model = Speech()
    play = await (Live(talker(model)) >> STREAM)
    model.happens(speech.CallerStarted(), speech.CallerStopped())
    await (play >> After(0.7))
    model.says("Yes.")
    model.happens(speech.CallerSaid("later", "is it open"))
    await (play >> After(2))
    (reply,) = [it.reply_ms for it in play.told(messages.Said) if it.role == "agent"]
    assert reply == pytest.approx(700)
    await play.finished()


@virtual_time
async def test_a_line_whose_words_come_late_is_told_with_the_time_when_it_was_said() -> None:
    model = Speech()
    play = await (Live(talker(model)) >> STREAM >> Caller(FRAME * 5))
    model.happens(speech.CallerTurn("t"))
    await (play >> Caller(FRAME * 5))
    model.says("Yes.")
    await (play >> After(1) >> Caller(FRAME * 50))
    model.happens(speech.CallerSaid("t", "is it open"))
    assert [it.at_ms for it in play.told(messages.Said)] == [100, 200]
    await play.finished()


# The end -----------------------------------------------------------------------------------------


@virtual_time
async def test_a_tool_that_runs_when_the_caller_hangs_up_may_finish() -> None:
    model = Speech()
    play = await (Live(talker(model, Desk)) >> STREAM)
    model.hears("yes, book it")
    model.wants("book", '{"people": 2}')
    await (play >> After(0.1) >> OVER >> After(1))
    (ran,) = play.told(messages.ToolRan)
    assert ran.text == "Booked for 2."
    await play.finished()


@pytest.mark.parametrize("is_known", [True, False])
@virtual_time
async def test_the_last_turn_is_told_to_the_agent_when_the_caller_hangs_up(is_known: bool) -> None:
    turns: list[Turn] = []

    async def on_turn(self: Agent, turn: Turn) -> None:
        turns.append(turn)

    model = Speech()
    play = await (Live(talker(model, on_turn=on_turn)) >> STREAM)
    model.happens(speech.CallerTurn("t"))
    if is_known:
        model.happens(speech.CallerSaid("t", "well"))
    model.says("one two three four")
    await (play >> After(0.085) >> OVER >> After(1))
    ((said_by_caller, answer),) = [(it.caller, it.agent) for it in turns]
    assert (said_by_caller, answer) == ("well" if is_known else "", "one two")
    await play.finished()


@virtual_time
async def test_the_instructions_are_made_once_a_session() -> None:
    made: list[int] = []

    def instructions(self: Agent) -> str:
        made.append(1)
        return "Be brief."

    model = Speech()
    agent: Any = talker(model, instructions=instructions)
    play = await (Live(agent) >> STREAM)
    assert len(made) == 1
    await play.finished()


@virtual_time
async def test_old_audio_is_not_given_to_a_model_that_comes_minutes_later() -> None:
    model, again, ears = Speech(), Speech(), Ears()
    back = talker(again)
    agent = clerk(Model("Yes."), stt=ears, speech=model, colleagues=(back,))
    play = await (Live(agent) >> STREAM)
    model.fails(LOST)
    await (play >> Caller(b"\x11" * 160) >> After(5))
    await play.session.conversation.agent.hand_over(back)
    await (play >> After(1))
    assert bytes(again.heard) == b""
    await play.finished()


# A line that is away -----------------------------------------------------------------------------


@virtual_time
async def test_a_model_is_let_go_while_the_line_is_away_for_long_and_comes_back_with_it() -> None:
    model = Speech(minds_silence=True)
    play = await (Live(talker(model)) >> STREAM)
    model.hears("a human, please")
    model.says("One moment.")
    await (play >> After(1) >> messages.StreamStopped("gone") >> After(3))
    assert model.closed == 0
    await (play >> After(30))
    assert model.closed == 1
    await (play >> STREAM >> After(1))
    assert said(model.openings[1].items) == ["a human, please", "One moment."]
    model.hears("well then")
    model.says("Yes.")
    await (play >> After(1))
    assert lines(play)[-1] == ("agent", "Yes.", False)
    assert play.told(messages.ProviderTrouble) == []
    await play.finished()


@virtual_time
async def test_a_line_that_is_soon_back_keeps_its_model() -> None:
    model = Speech()
    play = await (Live(talker(model)) >> STREAM >> messages.StreamStopped("gone") >> After(2))
    await (play >> STREAM >> After(30))
    assert (model.closed, len(model.openings)) == (0, 1)
    await play.finished()


@virtual_time
async def test_a_model_that_leaves_a_line_that_is_away_does_not_hang_up() -> None:
    model = Speech()
    play = await (Live(talker(model)) >> STREAM >> messages.StreamStopped("gone") >> After(1))
    model.happens(speech.LeftByModel("agent_hangup"))
    await (play >> After(1))
    assert play.told(messages.HangUp) == []
    await (play >> STREAM >> After(1))
    assert len(model.openings) == 2
    await play.finished()


@virtual_time
async def test_a_tool_that_returns_while_the_line_is_away_is_told_when_it_is_back() -> None:
    model = Speech()
    play = await (Live(talker(model, Desk)) >> STREAM)
    model.wants("dawdle")
    await (play >> After(1) >> messages.StreamStopped("gone") >> After(60))
    assert model.told == []
    await (play >> STREAM >> After(1))
    answers = [it.text for it in model.openings[1].items if isinstance(it, Returned)]
    assert answers == ["Done at last."]
    assert model.told == []
    await play.finished()


# From a cascade to a model -----------------------------------------------------------------------


@virtual_time
async def test_a_model_that_a_cascades_tool_hands_over_to_talks_alone() -> None:
    ears, voice, second = Ears(), Voice(), Speech()
    after = Model("I am the cascade.")
    colleague = talker(second, llm=after, stt=Ears(), tts=Voice(), instructions="Be the clerk.")

    class Passing:
        @tool
        async def to_clerk(self) -> str:
            """Hand over."""
            await self.hand_over(colleague)  # type: ignore[attr-defined]
            return "The clerk has the call."

    llm = Model(call("to_clerk"), "I am the cascade.")
    agent = clerk(llm, Passing, stt=ears, tts=voice, colleagues=(colleague,))
    play = await (Live(agent) >> STREAM)
    await play.asks("the clerk, please", 2)
    assert second.told == ["(to_clerk has returned: The clerk has the call.)"]
    assert (len(llm.asked), len(after.asked)) == (1, 0)
    assert (ears.closed, voice.closed) == (1, 1)
    second.says("Here is the clerk.")
    saying = asyncio.get_running_loop().create_task(
        play.session.conversation.agent.say("We close.")
    )
    await (play >> After(2))
    assert second.asked == ["We close."]
    assert saying.result() == "We close."
    ears.listener.failed(LOST)
    await (play >> After(1))
    second.hears("hello")
    second.says("Yes.")
    await (play >> After(1))
    assert lines(play)[-1] == ("agent", "Yes.", False)
    await play.finished()


@virtual_time
async def test_a_cascade_that_had_rested_hears_and_speaks_again() -> None:
    ears, second = Ears(), Speech()
    llm = Model("Yes.")
    colleague = talker(second)
    agent = clerk(llm, stt=ears, colleagues=(colleague,))
    play = await (Live(agent) >> STREAM)
    await play.agent.hand_over(colleague)
    await play.session.conversation.agent.hand_over(agent)
    await play.asks("hello")
    assert play.said("agent") == ["Yes."]
    assert second.closed == 1
    await play.finished()
