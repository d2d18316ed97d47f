"""Whole conversations in virtual time: asked, answered, interrupted, failed, ended."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared import messages
from tests.virtual_time import settled, virtual_time
from tests.worker.conversing import Live, about, clerk, problem
from tests.worker.playbook import (
    OVER,
    STREAM,
    After,
    Begins,
    Ears,
    Hears,
    Says,
    TimedVoice,
    Voice,
)
from tests.worker.scripted_llm import Hold, Model, Wait, call
from worker.agent import Agent
from worker.errors import ProviderLostError, ProviderRefusedError
from worker.llm import Usage
from worker.message import Message
from worker.stt import EagerEnd, Partial
from worker.tools import tool
from worker.turn import Turn

LOST = ProviderLostError("openai", "did not answer")


# Answers -----------------------------------------------------------------------------------------


@virtual_time
async def test_an_answer_is_spoken_clause_by_clause_as_it_comes() -> None:
    hold = Hold()
    model, voice = Model(["Of course. ", hold, "For how ", "many people?"]), Voice()
    play = await (Live(clerk(model, tts=voice)) >> STREAM >> Says("a table") >> After(0.05))
    assert [it.data for it in voice.posted] == ["Of course. "]
    hold.go()
    await (play >> After(5))
    assert "".join(it.data for it in voice.posted) == "Of course. For how many people?"
    assert play.said("agent") == ["Of course. For how many people?"]
    await play.finished()


@virtual_time
async def test_the_model_is_told_of_the_conversation_as_it_was_heard() -> None:
    model = Model("Good. ", "Bye.")
    play = Live(clerk(model, instructions="Be {{ how }}.", variables={"how": "brief"}))
    await (play >> STREAM)
    await play.asks("first")
    await play.asks("second")
    assert model.told(0) == ["system Be brief.", "user first"]
    assert model.told(1) == ["system Be brief.", "user first", "assistant Good.", "user second"]
    await play.finished()


@virtual_time
async def test_each_turn_is_reported_to_the_agent_with_what_was_heard_and_how_soon() -> None:
    turns: list[Turn] = []

    async def on_turn(self: Agent, turn: Turn) -> None:
        turns.append(turn)

    model = Model([Wait(0.2), "Yes. ", Wait(3), "It is."], "No.")
    play = await (Live(clerk(model, on_turn=on_turn)) >> STREAM)
    await play.asks("first")
    await play.asks("second")
    assert turns == [
        Turn(1, "first", "Yes. It is.", reply_ms=about(200)),
        Turn(2, "second", "No.", reply_ms=about(0)),
    ]
    assert [it.reply_ms for it in play.told(messages.Said) if it.role == "agent"] == [
        about(200),
        about(0),
    ]
    await play.finished()


@virtual_time
async def test_only_the_first_sentence_of_a_turn_tells_how_long_the_caller_waited() -> None:
    async def inference(self: Agent, message: Message[str]) -> None:
        await asyncio.sleep(0.5)
        await self.say("one")
        await self.say("two")

    play = await (Live(clerk(None, inference=inference)) >> STREAM)
    await play.asks("go")
    told = [it.reply_ms for it in play.told(messages.Said) if it.role == "agent"]
    assert told == [about(500), None]
    await play.finished()


@virtual_time
async def test_what_a_request_cost_is_measured() -> None:
    model = Model(["Yes.", Usage(100, 7, {"cached_tokens": 64})])
    play = await (Live(clerk(model)) >> STREAM)
    await play.asks("hello")
    told = {it.name: it.value for it in play.told(messages.Metric)}
    assert told["llm.prompt_tokens"] == 100
    assert told["llm.completion_tokens"] == 7
    assert told["llm.cached_tokens"] == 64
    await play.finished()


# Interruptions -----------------------------------------------------------------------------------


@virtual_time
async def test_a_committed_barge_in_closes_the_request_and_keeps_what_was_heard() -> None:
    model = Model(["One two three four five six. ", Hold(), "Seven."], "Yes?")
    play = await (Live(clerk(model, tts=TimedVoice())) >> STREAM >> Says("go") >> After(0.145))
    now = asyncio.get_running_loop().time()
    await (play >> Begins() >> Hears(Partial("wait")))
    assert model.closed == 1
    assert asyncio.get_running_loop().time() == now
    await play.asks("wait a moment")
    assert model.told() == ["user go", "assistant One two three", "user wait a moment"]
    cut = next(it for it in play.told(messages.Said) if it.role == "agent")
    assert (cut.text, cut.interrupted) == ("One two three", True)
    await play.finished()


@virtual_time
async def test_a_second_turn_while_the_first_is_being_answered_gives_the_first_answer_up() -> None:
    turns: list[Turn] = []

    async def on_turn(self: Agent, turn: Turn) -> None:
        turns.append(turn)

    model = Model([Wait(5), "A table."], "For four.")
    play = await (Live(clerk(model, on_turn=on_turn)) >> STREAM >> Says("a table") >> After(1))
    await play.asks("for four")
    assert model.closed == 1
    assert model.told() == ["user a table", "user for four"]
    assert [turn.agent for turn in turns] == ["", "For four."]
    await play.finished()


@virtual_time
async def test_an_author_who_gives_an_answer_up_silences_it() -> None:
    async def inference(self: Agent, message: Message[str]) -> None:
        try:
            async with asyncio.timeout(0.1):
                await self.conversation.answer(message.data)
        except TimeoutError:
            await self.say("Enough.")

    model = Model(["One two three four. ", Hold()])
    play = await (Live(clerk(model, tts=TimedVoice(), inference=inference)) >> STREAM)
    await play.asks("go")
    assert play.said("agent") == ["One two", "Enough."]
    assert [it["content"] for it in play.agent.history.messages()] == ["go", "One two", "Enough."]
    await play.finished()


# Failing -----------------------------------------------------------------------------------------


@virtual_time
async def test_a_model_that_fails_once_is_excused_and_the_operator_is_told() -> None:
    model = Model(["Half a sen", LOST], "Good evening.", [LOST], "Fine.")
    play = await (Live(clerk(model, sorry="Sorry, again?")) >> STREAM)
    for words in ("one", "two", "three", "four"):
        await play.asks(words)
    said = play.said("agent")
    assert said == ["Half a sen", "Sorry, again?", "Good evening.", "Sorry, again?", "Fine."]
    trouble = [(it.provider, it.sentence) for it in play.told(messages.ProviderTrouble)]
    assert trouble == [("openai", "did not answer")] * 2
    assert model.told()[:3] == ["user one", "assistant Half a sen", "assistant Sorry, again?"]
    await play.finished()


@virtual_time
async def test_a_model_that_fails_twice_in_a_row_ends_the_call_with_its_error() -> None:
    error = ProviderRefusedError("openai", "401: check OPENAI_API_KEY", 401)
    play = await (Live(clerk(Model([error]))) >> STREAM)
    await play.asks("one")
    await play.asks("two")
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group of one
        await play.living
    assert problem(caught.value) is error


@virtual_time
async def test_a_model_that_answers_nothing_does_not_leave_the_caller_in_silence() -> None:
    play = await (Live(clerk(Model(["  "], "Here."), sorry="Pardon?")) >> STREAM)
    await play.asks("one")
    await play.asks("two")
    assert play.said("agent") == ["Pardon?", "Here."]
    assert [it.event for it in play.told(messages.Log)] == ["the model answered nothing"]
    await play.finished()


@virtual_time
async def test_instructions_that_fail_in_a_call_end_it_with_their_error() -> None:
    def instructions(self: Agent) -> str:
        raise ValueError("the author's mistake")

    play = await (Live(clerk(Model("Yes."), instructions=instructions)) >> STREAM)
    await play.asks("hello")
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group of one
        await play.living
    assert str(problem(caught.value)) == "the author's mistake"


@pytest.mark.parametrize("part", ["stt", "llm", "tts"])
def test_a_provider_that_cannot_be_had_at_the_webhook_ends_the_call_and_closes_the_others(
    part: str,
) -> None:
    @virtual_time
    async def case() -> None:
        error = ProviderRefusedError(part, "402: pay the bill", 402)
        parts: dict[str, Any] = {"stt": Ears(), "llm": Model("Yes."), "tts": Voice()}
        parts[part].error, parts[part].delay = error, 1.0
        play = await (Live(clerk(**parts)) >> After(2))
        with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group of one
            await play.living
        assert problem(caught.value) is error
        closed = {"stt": parts["stt"].closed, "tts": parts["tts"].closed}
        closed["llm"] = parts["llm"].sessions_closed
        del closed[part]
        assert set(closed.values()) == {1}

    case()


# Agents without one or the other -----------------------------------------------------------------


@virtual_time
async def test_an_agent_without_a_voice_that_speaks_is_told_what_it_lacks() -> None:
    play = await (Live(clerk(Model("Yes."), tts=None)) >> STREAM)
    await play.asks("hello")
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group of one
        await play.living
    assert "no voice: set tts" in str(problem(caught.value))


@virtual_time
async def test_an_agent_without_a_model_that_asks_it_is_told_what_it_lacks() -> None:
    async def inference(self: Agent, message: Message[str]) -> None:
        await self.conversation.answer(message.data)

    play = await (Live(clerk(None, inference=inference)) >> STREAM)
    await play.asks("hello")
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group of one
        await play.living
    assert "no model: set llm" in str(problem(caught.value))


@pytest.mark.parametrize("parts", [{"stt": None}, {"tts": None}, {"stt": None, "tts": None}])
def test_an_agent_with_less_lives_through_a_call(parts: dict[str, Any]) -> None:
    @virtual_time
    async def case() -> None:
        play = Live(clerk(None, greeting="Hello", **parts))
        await (play >> STREAM >> After(60) >> messages.Dtmf("1") >> After(10))
        await play.finished()

    case()


# History -----------------------------------------------------------------------------------------


@virtual_time
async def test_the_callers_words_are_in_the_history_of_an_agent_that_answers_itself() -> None:
    seen: list[Any] = []

    async def inference(self: Agent, message: Message[str]) -> None:
        seen.append(self.history.messages())
        await self.say("Fine.")

    play = await (Live(clerk(None, inference=inference)) >> STREAM)
    await play.asks("one")
    await play.asks("two")
    assert [it["content"] for it in seen[1]] == ["one", "Fine.", "two"]
    await play.finished()


@virtual_time
async def test_words_that_an_agent_changes_take_the_place_of_the_callers_own() -> None:
    async def inference(self: Agent, message: Message[str]) -> None:
        await Agent.inference(self, Message(message.uuid, f"12:00\n{message.data}"))

    model = Model("Yes.")
    play = await (Live(clerk(model, inference=inference)) >> STREAM)
    await play.asks("one")
    await play.asks("two")
    assert model.told() == ["user 12:00\none", "assistant Yes.", "user 12:00\ntwo"]
    assert play.said("caller") == ["one", "two"]
    await play.finished()


# The end, in each phase --------------------------------------------------------------------------


async def _words() -> AsyncIterator[str]:
    yield "one two three. "
    await asyncio.sleep(3600)
    yield "never"


@pytest.mark.parametrize(
    ("phase", "seconds"),
    [
        ("ringing", 0.5),
        ("connecting", 0.5),
        ("model", 0.5),
        ("streaming", 0.5),
        ("tool", 0.5),
        ("speaking", 0.05),
        ("own stream", 0.5),
        ("early", 0.5),
        ("keys", 0.5),
        ("filler", 1.2),
    ],
)
def test_a_call_may_end_in_any_phase_and_leaves_nothing_behind(phase: str, seconds: float) -> None:
    class Slow:
        @tool(filler="One moment.", limit_s=60)
        async def slow(self) -> str:
            """Be slow."""
            await asyncio.sleep(3600)
            return ""

    async def inference(self: Agent, message: Message[str]) -> None:
        await (self.keys(60) if phase == "keys" else self.say(_words()))

    @virtual_time
    async def case() -> None:
        scripts: dict[str, list[Any]] = {
            "model": [Wait(3600)],
            "streaming": ["One. ", Wait(3600), "Two."],
            "tool": [call("slow")],
            "filler": ["I look. ", call("slow")],
            "early": ["One. ", Wait(3600)],
        }
        model = Model(scripts.get(phase, ["one two three four five six seven"]))
        parts: dict[str, Any] = {}
        if phase in ("own stream", "keys"):
            parts["inference"] = inference
        if phase == "connecting":
            parts["tts"] = Voice(delay=60)
        play = Live(clerk(model, Slow, **parts))
        if phase != "ringing":
            await (play >> STREAM)
        if phase == "early":
            await (play >> Hears(EagerEnd("go")))
        elif phase != "ringing":
            await (play >> Says("go"))
        await (play >> After(seconds))
        before = asyncio.get_running_loop().time()
        await (play >> OVER)
        await play.finished()
        assert asyncio.get_running_loop().time() - before < 5
        assert model.sessions_closed == model.sessions == 1
        await settled()

    case()


@virtual_time
async def test_a_call_that_is_over_is_not_spoken_to_any_more() -> None:
    booked: list[int] = []

    class Books:
        @tool
        async def book(self) -> str:
            """Book."""
            booked.append(1)
            return "Booked."

    voice = Voice()
    model = Model([Wait(0.5), "I book it. ", call("book")], "Booked.")
    play = await (Live(clerk(model, Books, tts=voice)) >> STREAM >> Says("book it"))
    before = asyncio.get_running_loop().time()
    await (play >> OVER)
    await play.finished()
    assert booked == [1]
    assert len(model.asked) == 1
    assert [it.data for it in voice.posted] == []
    assert asyncio.get_running_loop().time() - before == about(0.5)
