"""What an agent does besides answering: keys, words of its own, reminders, state, endings."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import msgpack
import pytest

from shared import messages
from tests.virtual_time import settled, virtual_time
from tests.worker.conversing import Live, about, clerk, problem
from tests.worker.playbook import OVER, STREAM, After, Begins, Ears, Hears, Says, TimedVoice, Voice
from tests.worker.scripted_llm import Model, Wait
from worker.agenda import MOST_WAITING
from worker.agent import Agent
from worker.errors import ProviderLostError
from worker.message import Message
from worker.stt import Partial
from worker.turn import Turn
from worker.turns import Turns


async def _pressed(play: Live, keys: str) -> None:
    for key in keys:
        await (play >> messages.Dtmf(key))


# Keys --------------------------------------------------------------------------------------------


@virtual_time
async def test_keys_that_nobody_waits_for_are_answered_by_the_model_like_a_turn() -> None:
    model = Model([Wait(0.3), "Table four."])
    play = await (Live(clerk(model)) >> STREAM)
    await _pressed(play, "12#")
    assert play.session.conversation.host.replying
    await (play >> After(3))
    assert model.told() == ["user (The caller pressed the keys 12.)"]
    assert play.said("agent") == ["Table four."]
    assert play.told(messages.Said)[-1].reply_ms == about(300)
    await play.finished()


@virtual_time
async def test_keys_and_words_are_answered_one_after_the_other() -> None:
    order: list[str] = []

    async def on_keys(self: Agent, keys: str) -> None:
        order.append(f"keys {keys}")
        await asyncio.sleep(1)
        order.append("done")

    async def inference(self: Agent, message: Message[str]) -> None:
        order.append(message.data)

    play = await (Live(clerk(None, on_keys=on_keys, inference=inference)) >> STREAM)
    await _pressed(play, "1#")
    await play.asks("hello")
    assert order == ["keys 1", "done", "hello"]
    await play.finished()


@virtual_time
async def test_an_agent_that_waits_for_keys_gets_them() -> None:
    got: list[str] = []

    async def inference(self: Agent, message: Message[str]) -> None:
        got.append(await self.keys(5))
        got.append(await self.keys(5))

    async def on_keys(self: Agent, keys: str) -> None:
        got.append(f"unasked {keys}")

    play = await (Live(clerk(None, inference=inference, on_keys=on_keys)) >> STREAM >> Says("go"))
    await _pressed(play, "4711#")
    assert got == ["4711"]
    await (play >> After(5.1))
    assert got == ["4711", ""]
    await _pressed(play, "9#")
    assert got == ["4711", "", "unasked 9"]
    assert play.session.conversation.keys_until is None
    await play.finished()


@virtual_time
async def test_only_the_last_who_waits_for_keys_gets_them() -> None:
    play = await (Live(clerk(None)) >> STREAM)
    first = asyncio.create_task(play.agent.keys(5))
    await settled()
    second = asyncio.create_task(play.agent.keys(5))
    await settled()
    assert first.done()
    await _pressed(play, "7#")
    assert (await first, await second) == ("", "7")
    await play.finished()


@virtual_time
async def test_whoever_is_cancelled_while_waiting_for_keys_leaves_them_to_others() -> None:
    got: list[str] = []

    async def on_keys(self: Agent, keys: str) -> None:
        got.append(keys)

    play = await (Live(clerk(None, on_keys=on_keys)) >> STREAM)
    waiting = asyncio.create_task(play.agent.keys(5))
    await settled()
    waiting.cancel()
    await _pressed(play, "7#")
    assert got == ["7"]
    await play.finished()


# Speaking (Ds36, Ds37) ---------------------------------------------------------------------------


async def _pieces() -> AsyncIterator[str]:
    for piece in ("one two ", "three. ", "four five six."):
        yield piece
        await asyncio.sleep(0.05)


@virtual_time
async def test_a_stream_is_spoken_as_it_comes_and_its_whole_text_returned() -> None:
    heard: list[str] = []

    async def inference(self: Agent, message: Message[str]) -> None:
        heard.append(await self.dispatch_stream(message.uuid, _pieces()))

    voice = Voice()
    play = await (Live(clerk(None, tts=voice, inference=inference)) >> STREAM)
    await play.asks("go")
    assert heard == ["one two three. four five six."]
    assert [it.data for it in voice.posted] == ["one two three. ", "four five six."]
    assert play.agent.history.messages()[-1]["content"] == heard[0]
    await play.finished()


@pytest.mark.parametrize("allow_interrupt", [True, False])
def test_only_an_uninterruptible_message_is_heard_out(allow_interrupt: bool) -> None:
    @virtual_time
    async def case() -> None:
        heard: list[str] = []
        times: list[float] = []

        async def inference(self: Agent, message: Message[str]) -> None:
            if message.data == "go":
                reply = Message(uuid4(), "one two three four five")
                heard.append(await self.dispatch_message(reply, allow_interrupt=allow_interrupt))
                times.append(asyncio.get_running_loop().time())

        play = Live(clerk(None, tts=TimedVoice(), inference=inference))
        began = asyncio.get_running_loop().time()
        await (play >> STREAM >> Says("go") >> After(0.1) >> Begins() >> Hears(Partial("stop it")))
        await play.asks("stop it", 5)
        if allow_interrupt:
            assert heard == ["one two"]
            assert times[0] - began == about(0.1)
        else:
            assert heard == ["one two three four five"]
            assert times[0] - began == about(0.23)
        await play.finished()

    case()


@pytest.mark.parametrize("how", ["cut", "cancelled", "raises", "over"])
def test_a_stream_that_is_not_spoken_to_its_end_is_closed(how: str) -> None:
    closed: list[bool] = []

    async def words() -> AsyncIterator[str]:
        try:
            yield "one two three. "
            if how == "raises":
                raise ValueError("the author's mistake")
            await asyncio.sleep(3600)
        finally:
            closed.append(True)

    async def inference(self: Agent, message: Message[str]) -> None:
        limit = 0.1 if how == "cancelled" else None
        try:
            async with asyncio.timeout(limit):
                await self.say(words())
        except TimeoutError:
            pass

    @virtual_time
    async def case() -> None:
        play = Live(clerk(None, tts=TimedVoice(), inference=inference))
        await (play >> STREAM >> Says("go") >> After(0.1))
        if how == "cut":
            await (play >> Begins() >> Hears(Partial("stop")))
        if how == "raises":
            with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group of one
                await play.living
            assert str(problem(caught.value)) == "the author's mistake"
        else:
            if how == "cancelled":
                await settled()
                assert play.agent.history.messages()[-1]["content"] == "one two"
            await (play >> OVER)
            await play.finished()
        assert closed == [True]

    case()


@virtual_time
async def test_what_was_said_before_a_voice_failed_is_what_is_remembered() -> None:
    error = ProviderLostError("cartesia", "gone")
    caught: list[object] = []
    voice = Voice(held=True)

    async def on_start(self: Agent) -> None:
        try:
            await self.say("never made")
        except ProviderLostError as lost:
            caught.append(lost)

    play = await (Live(clerk(None, tts=voice, on_start=on_start)) >> STREAM >> After(0.1))
    assert voice.listener is not None
    voice.listener.failed(error)
    await settled()
    assert caught == [error]
    assert play.agent.history.messages() == []
    await play.finished()


# Turns, state, endings ---------------------------------------------------------------------------


@virtual_time
async def test_a_turn_of_an_interrupted_answer_says_so() -> None:
    turns: list[Turn] = []

    async def on_turn(self: Agent, turn: Turn) -> None:
        turns.append(turn)

    model = Model("One two three four five.", "Yes?")
    play = Live(clerk(model, tts=TimedVoice(), on_turn=on_turn))
    await (play >> STREAM >> Says("go") >> After(0.1) >> Begins() >> Hears(Partial("wait now")))
    await play.asks("wait now")
    assert turns[0] == Turn(1, "go", "One two", True, (), about(0))
    assert turns[1] == Turn(2, "wait now", "Yes?", False, (), about(0))
    await play.finished()


@virtual_time
async def test_an_agent_that_is_far_behind_lets_the_oldest_turns_go() -> None:
    answered: list[str] = []

    async def inference(self: Agent, message: Message[str]) -> None:
        answered.append(message.data)
        await asyncio.sleep(60)

    turns = Turns(silence_s=None)
    play = await (Live(clerk(None, inference=inference, turns=turns)) >> STREAM)
    for number in range(MOST_WAITING + 3):
        await play.asks(f"turn {number}", 0.01)
    assert len(play.told(messages.Log)) == 2
    await (play >> After(70))
    assert answered == ["turn 0", "turn 3"]
    await play.finished()


@virtual_time
async def test_a_greeting_that_ends_during_a_turn_is_no_part_of_it() -> None:
    turns: list[Turn] = []

    async def on_turn(self: Agent, turn: Turn) -> None:
        turns.append(turn)

    parts: dict[str, Any] = {"greeting": "Good evening.", "greeting_interruptible": False}
    play = await (Live(clerk(Model("Yes."), on_turn=on_turn, **parts)) >> STREAM >> After(0.05))
    await play.asks("hello")
    assert play.said("agent") == ["Good evening.", "Yes."]
    assert turns[0].agent == "Yes."
    await play.finished()


@pytest.mark.parametrize("state", [{"deep": None}, {"half": "\ud800"}])
def test_a_state_that_cannot_be_kept_is_reported_and_ends_no_call(state: dict[str, Any]) -> None:
    if "deep" in state:
        state["deep"] = state

    async def inference(self: Agent, message: Message[str]) -> None:
        self.state.update(state if message.data == "bad" else {"n": 1, "deep": 0, "half": ""})

    @virtual_time
    async def case() -> None:
        play = await (Live(clerk(None, inference=inference)) >> STREAM)
        await play.asks("bad", 1)
        assert [it.event for it in play.told(messages.Log)] == [
            "state not saved: it must be plain values"
        ]
        await play.asks("good", 1)
        assert msgpack.unpackb(play.told(messages.Checkpoint)[-1].state)["n"] == 1
        await play.finished()

    case()


@virtual_time
async def test_silence_ends_in_a_goodbye_that_is_heard_out_and_a_hang_up() -> None:
    turns = Turns(silence_s=5, ask_times=1, still_there="Hello?", goodbye="Goodbye then.")
    play = await (Live(clerk(Model("Yes."), turns=turns)) >> STREAM >> After(12))
    assert play.said("agent") == ["Hello?", "Goodbye then."]
    assert len(play.told(messages.HangUp)) == 1
    play.grant()
    await (play >> OVER)
    await play.finished()


@virtual_time
async def test_a_reminder_is_in_the_history_of_the_model() -> None:
    model = Model("Yes.")
    play = await (Live(clerk(model, turns=Turns(silence_s=5, still_there="Hello?"))) >> STREAM)
    await (play >> After(6))
    await play.asks("here I am", 1)
    assert model.told() == ["assistant Hello?", "user here I am"]
    await play.finished()


@virtual_time
async def test_what_a_listener_says_aloud_is_written_down_and_is_no_turn() -> None:
    tale = " ".join(["yes and"] * 20)
    model = Model(tale)
    play = await (Live(clerk(model, tts=TimedVoice())) >> STREAM >> Says("go") >> After(0.1))
    await (play >> Begins() >> Says("mhm") >> After(5))
    assert play.said("caller") == ["go", "mhm"]
    assert len(model.asked) == 1
    assert play.said("agent") == [tale]
    await play.finished()


@virtual_time
async def test_ears_that_are_lost_end_the_call_in_the_middle_of_an_answer() -> None:
    error = ProviderLostError("deepgram", "gone")
    ears = Ears()
    model = Model(["One. ", Wait(60)])
    play = await (Live(clerk(model, stt=ears)) >> STREAM >> Says("go") >> After(1))
    ears.listener.failed(error)
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group of one
        await play.living
    assert problem(caught.value) is error
    await settled()
    assert model.closed == model.sessions_closed == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}
