"""Conversations with a speech-to-speech model, in virtual time."""

import asyncio
from typing import Any

import pytest

from shared import messages
from tests.virtual_time import settled, virtual_time
from tests.worker.conversing import Live, clerk, problem
from tests.worker.playbook import OVER, STREAM, After, Caller, Ears, Voice
from tests.worker.scripted_llm import Model
from tests.worker.scripted_speech import Speech, talker
from worker import speech
from worker.agent import Agent
from worker.errors import ProviderLostError, ProviderRefusedError
from worker.llm import Said
from worker.stages import Stage
from worker.tools import tool
from worker.tools.builtin import HangUp
from worker.turn import Turn
from worker.turns import Turns

LOST = ProviderLostError("ultravox", "closed the connection")
REFUSED = ProviderRefusedError("ultravox", "the key is wrong")
FRAME = b"\x31" * 160


class Desk:
    """Tools."""

    @tool
    async def book(self, people: int) -> str:
        """Book a table."""
        await asyncio.sleep(0.5)
        return f"Booked for {people}."

    @tool(on_barge_in="finish")
    async def write(self) -> str:
        """Write it down."""
        await asyncio.sleep(2)
        return "It is written."

    @tool(limit_s=60)
    async def dawdle(self) -> str:
        """Take long."""
        await asyncio.sleep(50)
        return "Done at last."

    @tool
    async def move(self) -> str:
        """Move on."""
        self.enter("summary")  # type: ignore[attr-defined]
        return "Moved."


def lines(play: Live) -> list[tuple[str, str, bool]]:
    return [(it.role, it.text, it.interrupted) for it in play.told(messages.Said)]


# What it is told, and what is heard --------------------------------------------------------------


@virtual_time
async def test_the_model_is_told_who_it_is_and_how_to_greet() -> None:
    model = Speech()
    agent = talker(
        model, Desk, instructions="Be {{ how }}.", variables={"how": "brief"}, greeting="Hello.",
        greeting_interruptible=False, turns=Turns(silence_s=9, ask_times=2),
    )  # fmt: skip
    play = await (Live(agent) >> STREAM)
    (opening,) = model.openings
    assert opening.brief.system == "Be brief."
    assert [spec.name for spec in opening.brief.tools] == ["book", "write", "dawdle", "move"]
    assert opening.brief.limits_s["dawdle"] == 60
    assert (opening.greeting, opening.greeting_interruptible) == ("Hello.", False)
    assert [(it.after_s, it.hangs_up) for it in opening.reminders] == [
        (9, False), (9, False), (9, True),
    ]  # fmt: skip
    assert opening.metadata["call_sid"].startswith("CA")
    await play.finished()


@virtual_time
async def test_a_greeting_that_comes_while_the_phone_rings_is_heard_at_once() -> None:
    model = Speech()
    play = Live(talker(model))
    await settled()
    model.says("Good evening.")
    await (play >> After(1))
    assert play.told(messages.Speaking) == []
    await (play >> STREAM >> After(1))
    assert lines(play) == [("agent", "Good evening.", False)]
    await play.finished()


@virtual_time
async def test_the_callers_audio_reaches_the_model_as_it_likes_it() -> None:
    model = Speech(batch_ms=60)
    play = await (Live(talker(model)) >> STREAM >> Caller(FRAME * 3))
    assert bytes(model.heard) == FRAME * 3
    assert play.told(messages.Hear) == [messages.Hear(60)]
    await play.finished()


@virtual_time
async def test_a_turn_and_its_answer_are_written_down_and_told_to_the_agent() -> None:
    turns: list[Turn] = []

    async def on_turn(self: Agent, turn: Turn) -> None:
        turns.append(turn)

    model = Speech()
    play = await (Live(talker(model, on_turn=on_turn)) >> STREAM)
    model.hears("a table")
    await (play >> After(0.3))
    model.says("For how many?")
    await (play >> After(3))
    assert lines(play) == [("caller", "a table", False), ("agent", "For how many?", False)]
    (turn,) = turns
    assert (turn.caller, turn.agent, turn.interrupted) == ("a table", "For how many?", False)
    assert turn.number == 1
    assert [it.text for it in play.session.conversation.history.items if isinstance(it, Said)] == [
        "a table", "For how many?",
    ]  # fmt: skip
    assert play.told(messages.Checkpoint)
    await play.finished()


@virtual_time
async def test_words_of_the_caller_that_come_late_stand_before_the_answer() -> None:
    model = Speech()
    play = await (Live(talker(model)) >> STREAM)
    model.happens(speech.CallerStarted(), speech.CallerStopped(), speech.CallerTurn("t"))
    model.says("Yes.")
    await (play >> After(1))
    assert lines(play) == []
    model.happens(speech.CallerSaid("t", "is it open"))
    await settled()
    assert lines(play) == [("caller", "is it open", False), ("agent", "Yes.", False)]
    await play.finished()


@virtual_time
async def test_words_that_never_come_hold_up_the_transcript_for_a_while_only() -> None:
    turns: list[Turn] = []

    async def on_turn(self: Agent, turn: Turn) -> None:
        turns.append(turn)

    model = Speech()
    play = await (Live(talker(model, on_turn=on_turn)) >> STREAM)
    model.happens(speech.CallerTurn("t"))
    model.says("Yes.")
    await (play >> After(5))
    assert lines(play) == [("agent", "Yes.", False)]
    assert [turn.caller for turn in turns] == [""]
    model.happens(speech.CallerSaid("t", "is it open"))
    await settled()
    assert lines(play)[-1] == ("caller", "is it open", False) or len(lines(play)) == 1
    await play.finished()


@virtual_time
async def test_a_service_that_tells_of_no_turn_has_it_begin_with_the_answer() -> None:
    model = Speech()
    play = await (Live(talker(model)) >> STREAM)
    model.happens(speech.CallerStarted(), speech.CallerStopped())
    model.says("Yes.")
    model.happens(speech.CallerSaid("later", "is it open"))
    await (play >> After(2))
    assert lines(play) == [("caller", "is it open", False), ("agent", "Yes.", False)]
    assert max(it.number for it in play.told(messages.TurnTimed)) == 1
    await play.finished()


@virtual_time
async def test_a_turn_is_timed() -> None:
    model = Speech()
    play = await (Live(talker(model)) >> STREAM)
    model.happens(speech.CallerStarted(), speech.CallerStopped())
    await (play >> After(0.2))
    model.happens(speech.CallerTurn("t"), speech.CallerSaid("t", "well"))
    await (play >> After(0.5))
    model.says("Yes.")
    await (play >> After(1))
    stages: dict[str, float] = {}
    for told in play.told(messages.TurnTimed):
        if told.number == 1:
            stages |= told.stages
    assert stages["stt_final"] - stages["caller_stopped"] == pytest.approx(200)
    assert stages["first_audio"] - stages["model_asked"] == pytest.approx(500)
    assert stages["first_sent"] == stages["first_audio"]
    assert "first_heard" in stages
    await play.finished()


# Interruptions -----------------------------------------------------------------------------------


@virtual_time
async def test_an_interruption_clears_the_line_and_what_was_heard_is_remembered() -> None:
    model = Speech()
    play = await (Live(talker(model, network_ms=0)) >> STREAM)
    key = model.says("one two three four")  # 180 ms
    await (play >> After(0.085))
    model.happens(speech.AgentCut())
    assert play.told(messages.Clear) == [messages.Clear()]
    await settled()
    ((cut, heard_ms),) = model.cuts
    assert cut == key
    assert abs(heard_ms - 85) < 1
    assert lines(play) == [("agent", "one two", True)]
    assert model.listener is not None
    model.listener.audio(key, b"\x55" * 800)
    await (play >> After(1))
    assert len(play.wire.played) < 18 * 80 + 160
    await play.finished()


@virtual_time
async def test_a_correction_of_the_service_is_what_is_written() -> None:
    model = Speech(corrects=True)
    play = await (Live(talker(model)) >> STREAM)
    key = model.says("one two three four")
    await (play >> After(0.085))
    model.happens(speech.AgentCut())
    await (play >> After(0.3))
    assert lines(play) == []
    model.happens(speech.AgentCorrected(key, "one two th..."))
    await settled()
    assert lines(play) == [("agent", "one two th...", True)]
    await play.finished()


@virtual_time
async def test_a_correction_that_comes_with_the_interruption_counts() -> None:
    model = Speech(corrects=True)
    play = await (Live(talker(model)) >> STREAM)
    key = model.says("one two three four")
    await (play >> After(0.085))
    model.happens(speech.AgentCut(), speech.AgentCorrected(key, "one two th..."))
    await settled()
    assert lines(play) == [("agent", "one two th...", True)]
    await play.finished()


@virtual_time
async def test_a_correction_that_never_comes_is_not_waited_for() -> None:
    model = Speech(corrects=True)
    play = await (Live(talker(model)) >> STREAM)
    model.says("one two three four")
    await (play >> After(0.085))
    model.happens(speech.AgentCut())
    await (play >> After(2))
    assert lines(play) == [("agent", "one two", True)]
    await play.finished()


@virtual_time
async def test_a_greeting_that_may_not_be_interrupted_is_heard_to_its_end() -> None:
    model = Speech()
    play = await (Live(talker(model, greeting="Hear me.", greeting_interruptible=False)) >> STREAM)
    model.says("Hear me.")
    await (play >> After(0.02))
    model.happens(speech.AgentCut())
    await (play >> After(1))
    assert lines(play) == [("agent", "Hear me.", False)]
    assert model.cuts == []
    await play.finished()


@virtual_time
async def test_a_key_stops_the_model_and_is_told_to_it() -> None:
    model = Speech()
    play = await (Live(talker(model)) >> STREAM)
    key = model.says("one two three four")
    await (play >> After(0.085) >> messages.Dtmf("4") >> messages.Dtmf("#"))
    assert [it[0] for it in model.cuts] == [key]
    assert model.told == ["(The caller pressed the keys 4.)"]
    model.says("Four it is.")
    await (play >> After(2))
    assert lines(play)[1:] == [("caller", "(pressed 4)", False), ("agent", "Four it is.", False)]
    await play.finished()


# Tools -------------------------------------------------------------------------------------------


@virtual_time
async def test_a_tool_is_run_and_answered_and_its_turn_goes_on_until_the_reply() -> None:
    turns: list[Turn] = []

    async def on_turn(self: Agent, turn: Turn) -> None:
        turns.append(turn)

    model = Speech()
    play = await (Live(talker(model, Desk, on_turn=on_turn)) >> STREAM)
    model.hears("a table for two")
    model.says("One moment.")
    model.wants("book", '{"people": 2}')
    await (play >> After(1))
    assert model.answers == [("c1", "Booked for 2.", False, None)]
    assert turns == []
    model.says("It is booked.")
    await (play >> After(2))
    (turn,) = turns
    assert (turn.agent, turn.tools) == ("One moment. It is booked.", ("book",))
    await play.finished()


@pytest.mark.parametrize(
    ("name", "arguments", "answer"),
    [
        ("book", '{"people": "many"}', "Invalid parameters, book was not run."),
        ("book", "not JSON", "Invalid parameters, book was not run."),
        ("fly", "{}", "Unknown tool: fly."),
    ],
)
@virtual_time
async def test_what_cannot_be_run_is_answered_all_the_same(
    name: str, arguments: str, answer: str
) -> None:
    model = Speech()
    play = await (Live(talker(model, Desk)) >> STREAM)
    model.wants(name, arguments)
    await (play >> After(0.1))
    ((_, text, failed, _),) = model.answers
    assert text.startswith(answer)
    assert failed
    await play.finished()


@virtual_time
async def test_a_tool_is_stopped_when_the_caller_takes_the_floor_and_the_model_is_told() -> None:
    model = Speech()
    play = await (Live(talker(model, Desk)) >> STREAM)
    model.wants("book", '{"people": 2}')
    await (play >> After(0.1))
    model.hears("no wait")
    await settled()
    assert [(it[1], it[2]) for it in model.answers] == [
        ("book was stopped before it had a result.", True)
    ]
    await play.finished()


@virtual_time
async def test_a_tool_that_is_to_finish_does_and_its_result_is_told_later() -> None:
    model = Speech()
    play = await (Live(talker(model, Desk)) >> STREAM)
    model.wants("write")
    await (play >> After(0.1))
    model.hears("no wait")
    await (play >> After(3))
    assert [it[1] for it in model.answers] == ["write is still running; its result will follow."]
    assert model.told == ["(write has returned: It is written.)"]
    await play.finished()


@virtual_time
async def test_a_tool_that_outlasts_the_services_patience_is_answered_in_time() -> None:
    model = Speech()
    play = await (Live(talker(model, Desk, turns=Turns(silence_s=None))) >> STREAM)
    model.wants("dawdle")
    await (play >> After(36))
    assert [it[1] for it in model.answers] == ["dawdle is still running; its result will follow."]
    await (play >> After(20))
    assert model.told == ["(dawdle has returned: Done at last.)"]
    await play.finished()


@pytest.mark.parametrize("stands_still", [True, False])
@virtual_time
async def test_a_filler_is_said_unless_the_service_stands_still_meanwhile(
    stands_still: bool,
) -> None:
    class Slow:
        @tool(filler="Let me see.", filler_after_s=0.1)
        async def look(self) -> str:
            """Look."""
            await asyncio.sleep(1)
            return "Seen."

    model = Speech(stands_still=stands_still)
    play = await (Live(talker(model, Slow)) >> STREAM)
    model.wants("look")
    await (play >> After(2))
    assert model.asked == ([] if stands_still else ["Let me see."])
    await play.finished()


@virtual_time
async def test_a_stage_moves_with_the_tools_answer_and_its_first_words_go_along() -> None:
    stages = {
        "talk": Stage("Talk.", tools=("move",)),
        "summary": Stage("Sum up.", tools=("book",), says="To sum up.", voice="Mark"),
    }
    model = Speech()
    play = await (Live(talker(model, Desk, stages=stages, instructions="Be.")) >> STREAM)
    assert model.openings[0].brief.system == "Be.\n\nTalk."
    model.wants("move")
    await (play >> After(1))
    ((_, text, failed, brief),) = model.answers
    assert (text, failed) == ("Moved.", False)
    assert brief is not None
    assert brief.system == "Be.\n\nSum up.\n\nBegin with these words: To sum up."
    assert [spec.name for spec in brief.tools] == ["book"]
    assert brief.voice == "Mark"
    model.wants("move", call_id="c2")
    await (play >> After(1))
    assert model.answers[-1][1].startswith("Unknown tool: move.")
    await play.finished()


@virtual_time
async def test_a_stage_entered_outside_of_a_tool_is_told_at_once() -> None:
    stages = {"talk": Stage("Talk."), "summary": Stage("Sum up.")}
    model = Speech()
    play = await (Live(talker(model, stages=stages)) >> STREAM)
    play.agent.enter("summary")
    assert [it.system for it in model.briefs] == ["Sum up."]
    await play.finished()


@virtual_time
async def test_the_model_hangs_up_by_its_tool_once_its_last_words_were_heard() -> None:
    model = Speech()
    play = await (Live(talker(model, tools=(HangUp(),))) >> STREAM)
    model.says("Goodbye then.")  # 130 ms
    model.wants("hang_up")
    await (play >> After(0.1))
    assert play.told(messages.HangUp) == []
    await (play >> After(0.1))
    assert len(play.told(messages.HangUp)) == 1
    play.grant()
    await play.finished()


@virtual_time
async def test_a_model_that_leaves_ends_the_call_once_it_was_heard_out() -> None:
    model = Speech()
    play = await (Live(talker(model)) >> STREAM)
    model.says("Goodbye then.")
    model.happens(speech.LeftByModel("agent_hangup"))
    await (play >> After(0.1))
    assert play.told(messages.HangUp) == []
    await (play >> After(0.1))
    assert len(play.told(messages.HangUp)) == 1
    await play.finished()


# What the agent says -----------------------------------------------------------------------------


@virtual_time
async def test_what_the_agent_says_is_said_by_the_model_and_told_as_heard() -> None:
    model = Speech()
    play = await (Live(talker(model)) >> STREAM)
    saying = asyncio.get_running_loop().create_task(play.agent.say("We close at ten."))
    await (play >> After(1))
    assert model.asked == ["We close at ten."]
    assert saying.result() == "We close at ten."
    assert lines(play) == [("agent", "We close at ten.", False)]
    await play.finished()


@virtual_time
async def test_a_model_that_does_not_say_it_is_not_waited_for_for_ever() -> None:
    model = Speech(repeats=False)
    play = await (Live(talker(model, turns=Turns(silence_s=None))) >> STREAM)
    saying = asyncio.get_running_loop().create_task(play.agent.say("We close at ten."))
    await (play >> After(11))
    assert saying.result() == ""
    await play.finished()


@virtual_time
async def test_an_agent_with_a_voice_of_its_own_says_it_with_that() -> None:
    model, voice = Speech(), Voice()
    play = await (Live(talker(model)) >> STREAM)
    await play.agent.set_tts(voice)
    saying = asyncio.get_running_loop().create_task(play.agent.say("We close at ten."))
    await (play >> After(1))
    assert model.asked == []
    assert saying.result() == "We close at ten."
    await play.finished()


@virtual_time
async def test_a_silent_caller_is_asked_and_then_left_by_the_call() -> None:
    turns = Turns(silence_s=5, ask_times=1, still_there="Still there?", goodbye="Bye.")
    model = Speech()
    play = await (Live(talker(model, turns=turns)) >> STREAM >> After(6))
    assert model.asked == ["Still there?"]
    model.happens(speech.CallerStarted())
    await (play >> After(20))
    assert model.asked == ["Still there?"]
    model.happens(speech.CallerStopped())
    await (play >> After(11))
    assert model.asked == ["Still there?", "Still there?", "Bye."]
    assert len(play.told(messages.HangUp)) == 1
    await play.finished()


@virtual_time
async def test_late_words_do_not_make_a_caller_silent_who_speaks_again() -> None:
    turns = Turns(silence_s=5, still_there="Still there?")
    model = Speech()
    play = await (Live(talker(model, turns=turns)) >> STREAM)
    model.happens(speech.CallerStarted(), speech.CallerStopped(), speech.CallerTurn("t"))
    model.happens(speech.CallerStarted(), speech.CallerSaid("t", "well"))
    await (play >> After(20))
    assert model.asked == []
    await play.finished()


@virtual_time
async def test_silence_is_left_to_a_service_that_minds_it() -> None:
    model = Speech(minds_silence=True)
    play = await (Live(talker(model)) >> STREAM >> After(100))
    assert model.asked == []
    await play.finished()


# The end, and losses -----------------------------------------------------------------------------


@virtual_time
async def test_the_service_is_left_as_soon_as_the_caller_has_hung_up() -> None:
    model = Speech()
    play = await (Live(talker(model)) >> STREAM)
    model.says("one two three four")
    await (play >> After(0.085) >> OVER)
    await settled()
    assert model.closed == 1
    await play.finished()
    assert lines(play) == [("agent", "one two", True)]
    assert model.closed == 1


@virtual_time
async def test_the_next_model_takes_over_with_the_conversation() -> None:
    first, second = Speech(), Speech()
    play = await (Live(talker([first, second])) >> STREAM)
    first.hears("a table")
    first.says("For how many?")
    await (play >> After(1))
    first.fails(LOST)
    await settled()
    assert first.closed == 1
    assert [(it.role, it.text) for it in second.openings[0].items if isinstance(it, Said)] == [
        ("user", "a table"), ("assistant", "For how many?"),
    ]  # fmt: skip
    assert (
        play.told(messages.ProviderTrouble)
        == [messages.ProviderTrouble("ultravox", "closed the connection", "Speech")]
        or play.told(messages.ProviderTrouble)[0].fallback == "Speech"
    )
    await (play >> Caller(FRAME))
    assert bytes(second.heard) == FRAME
    second.hears("two")
    second.says("Done.")
    await (play >> After(1))
    assert lines(play)[-1] == ("agent", "Done.", False)
    await play.finished()


@virtual_time
async def test_what_the_caller_says_while_a_model_is_replaced_is_heard() -> None:
    first, second = Speech(), Speech(delay=0.5)
    play = await (Live(talker([first, second])) >> STREAM)
    first.fails(LOST)
    await settled()
    await (play >> Caller(FRAME) >> After(1))
    assert bytes(second.heard) == FRAME
    await play.finished()


@virtual_time
async def test_a_sentence_that_broke_off_is_apologised_for() -> None:
    first, second = Speech(), Speech()
    play = await (Live(talker([first, second])) >> STREAM)
    first.says("one two three", whole=False)
    await (play >> After(0.05))
    first.fails(LOST)
    await (play >> After(2))
    assert second.asked == [Agent.sorry]
    await play.finished()


@virtual_time
async def test_without_a_model_at_the_webhook_the_cascade_answers() -> None:
    model = Speech(errors=[LOST])
    llm, voice = Model("For how many?"), Voice()
    agent = clerk(llm, tts=voice, speech=model, greeting="Good evening.")
    play = Live(agent)
    await settled()
    assert "".join(it.data for it in voice.posted) == "Good evening."
    await (play >> STREAM >> After(2))
    await play.asks("a table")
    assert play.said("agent") == ["Good evening.", "For how many?"]
    (trouble,) = play.told(messages.ProviderTrouble)
    assert (trouble.provider, trouble.fallback) == ("Speech", "cascade")
    await play.finished()


@virtual_time
async def test_a_model_lost_in_mid_call_leaves_the_call_to_the_cascade() -> None:
    model, ears = Speech(), Ears()
    llm = Model("For how many?")
    play = await (Live(clerk(llm, stt=ears, speech=model)) >> STREAM)
    model.hears("good evening")
    model.says("What can I do?")
    await (play >> After(1))
    model.fails(LOST)
    await (play >> After(5))
    assert play.said("agent")[-1] == Agent.sorry
    await (play >> Caller(FRAME))
    assert bytes(ears.heard) == FRAME
    await play.asks("a table")
    assert llm.told(0) == [
        "user good evening", "assistant What can I do?", f"assistant {Agent.sorry}", "user a table",
    ] or llm.told(0)[-1] == "user a table"  # fmt: skip
    await play.finished()


@virtual_time
async def test_a_model_without_anybody_behind_it_ends_the_call_with_its_error() -> None:
    model = Speech()
    play = await (Live(talker(model)) >> STREAM)
    model.fails(LOST)
    await settled()
    assert play.told(messages.ProviderTrouble) == []  # it is told with the call's end, once
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group of one
        await play.living
    assert problem(caught.value) is LOST


@virtual_time
async def test_a_model_that_cannot_be_had_at_all_is_an_error_at_once() -> None:
    play = Live(talker(Speech(errors=[REFUSED])))
    await settled()
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group of one
        await play.living
    assert problem(caught.value) is REFUSED


@virtual_time
async def test_a_tool_that_runs_when_the_model_is_lost_is_told_to_the_next_one() -> None:
    first, second = Speech(), Speech()
    play = await (Live(talker([first, second], Desk)) >> STREAM)
    first.wants("book", '{"people": 2}')
    await (play >> After(0.1))
    first.fails(LOST)
    await (play >> After(1))
    assert second.answers == []
    assert second.told == ["(book has returned: Booked for 2.)"]
    await play.finished()


# Other agents ------------------------------------------------------------------------------------


@virtual_time
async def test_a_colleague_that_talks_by_the_same_model_gives_it_its_instructions() -> None:
    model = Speech()
    colleague = talker(model, instructions="You are the clerk.")
    agent = talker(model, instructions="You are the desk.", colleagues=(colleague,))
    play = await (Live(agent) >> STREAM)
    await play.agent.hand_over(colleague)
    assert len(model.openings) == 1
    assert [it.system for it in model.briefs] == ["You are the clerk."]
    await play.finished()


@virtual_time
async def test_a_colleague_may_be_a_cascade_and_back() -> None:
    model, again = Speech(), Speech()
    back = talker(again)
    colleague = clerk(Model("Yes."), colleagues=(back,))
    play = await (Live(talker(model, colleagues=(colleague,))) >> STREAM)
    await play.agent.hand_over(colleague)
    await settled()
    assert model.closed == 1
    await play.asks("hello")
    assert play.said("agent") == ["Yes."]
    await play.session.conversation.agent.hand_over(back)
    assert [it.text for it in again.openings[0].items if isinstance(it, Said)] == ["hello", "Yes."]
    again.hears("and now")
    again.says("Here.")
    await (play >> After(1))
    assert play.said("agent")[-1] == "Here."
    await play.finished()


@virtual_time
async def test_a_name_that_the_service_gives_the_call_is_told_to_the_gateway() -> None:
    model = Speech()
    play = await (Live(talker(model)) >> STREAM)
    assert model.listener is not None
    model.listener.known_as("uv-1")
    assert play.told(messages.KnownAs) == [messages.KnownAs("uv-1")]
    await play.finished()


@virtual_time
async def test_instructions_that_a_hook_looks_up_are_waited_for() -> None:
    async def on_ringing(self: Agent) -> None:
        await asyncio.sleep(0.2)
        self.state["name"] = "Ann"

    model = Speech()
    agent: Any = talker(model, instructions="You serve {{ state.name }}.", on_ringing=on_ringing)
    play = Live(agent)
    await (play >> After(0.1))
    assert model.openings == []
    await (play >> After(0.2) >> STREAM)
    assert model.openings[0].brief.system == "You serve Ann."
    await play.finished()
