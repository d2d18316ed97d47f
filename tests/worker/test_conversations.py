"""Conversations from the caller's first word to the last, in virtual time: who is heard when, and
what each side remembers of it."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from shared import messages
from shared.speech.clauses import Clauses
from tests.virtual_time import settled, virtual_time
from tests.worker.playbook import (
    OVER,
    STREAM,
    After,
    Begins,
    Ears,
    Echoes,
    Hears,
    Playbook,
    Says,
    TimedVoice,
)
from worker import llm
from worker.agent import Agent
from worker.errors import ProviderError
from worker.message import Message
from worker.stt import EagerEnd, EndOfTurn, Partial, SpeechStarted, SpeechStopped
from worker.turns import Turns
from worker.utterance import EAGER_LETTERS

STOPPED = messages.StreamStopped("lost")
UNMINDED = Turns(silence_s=None)
REPLY = (
    "We do have a table for you. It is by the window, and it is yours from eight on Friday. "
    "If you come by car, there is a car park just behind the house."
)


class Model:
    """A language model that answers from a script, a word every ``pace`` seconds."""

    def __init__(self, *answers: str, pace: float = 0.0) -> None:
        self.answers, self.pace = list(answers), pace
        self.prompts: list[llm.Prompt] = []
        self.closed = 0

    def prepare(self) -> None:
        """Nothing is to be prepared."""

    async def connect(self) -> "Model":
        return self

    def stand_in(self) -> "Model":
        return self

    async def reply(self, prompt: llm.Prompt) -> AsyncGenerator[llm.Answer, None]:
        self.prompts.append(prompt)
        try:
            for word in self.answers.pop(0).split(" "):
                await asyncio.sleep(self.pace)
                yield llm.Text(f"{word} ")
        finally:
            self.closed += 1

    async def aclose(self) -> None:
        """Nothing is to be closed."""

    def remembered(self, number: int = -1) -> list[tuple[str, str]]:
        """Return the conversation as it was told of it in request ``number``."""
        items = self.prompts[number].items
        return [(it.role, it.text) for it in items if isinstance(it, llm.Said)]


def agent(**parts: Any) -> type[Agent]:
    """Return an agent class whose silence is not minded."""
    parts = {"stt": Ears(), "tts": TimedVoice(), "turns": UNMINDED, **parts}
    return type("TestAgent", (Agent,), parts)


def thinker(*answers: str, pace: float = 0.0, **parts: Any) -> tuple[type[Agent], Model]:
    model = Model(*answers, pace=pace)
    return agent(llm=model, **parts), model


async def _parrot(self: Agent, message: Message[str]) -> None:
    await self.say(message.data)


def line(play: Playbook) -> list[messages.Said]:
    """Return the transcript."""
    return [it for it in play.wire.items if isinstance(it, messages.Said)]


# Barge-in at every 100 ms ------------------------------------------------------------------------


def _word_ends(text: str) -> list[int]:
    return [n for n in range(1, len(text) + 1) if (text[n : n + 1] or " ") == " "]


def _clause_ends(text: str) -> list[int]:
    clauses = Clauses(verbatim=True, eager=EAGER_LETTERS)
    pieces = [*clauses.feed(text), *clauses.flush()]
    return [len("".join(pieces[:n]).rstrip()) for n in range(1, len(pieces) + 1)]


@pytest.mark.parametrize("tenth", range(1, len(REPLY) // 10 + 1))
@pytest.mark.parametrize(("by", "ends"), [("word", _word_ends), ("clause", _clause_ends)])
def test_of_a_reply_cut_at_any_tenth_of_a_second_what_was_played_is_remembered(
    tenth: int, by: Any, ends: Callable[[str], list[int]]
) -> None:
    @virtual_time
    async def case() -> None:
        kind, model = thinker(REPLY, "Go on.", tts=TimedVoice(by=by))
        play = Playbook(kind)
        await (play >> STREAM >> Says("a table please") >> After(tenth / 10 + 0.003))
        await (play >> Begins() >> After(0.35) >> Hears(Partial("no but")))
        played = play.played
        assert REPLY.startswith(played)
        size = max((end for end in ends(REPLY) if end <= len(played)), default=0)
        remembered = REPLY[:size]
        await (play >> After(0.5) >> Says("no but tomorrow") >> After(1))
        assert play.played[len(played) :] == "Go on. "
        said = [("assistant", remembered)] if remembered else []
        assert model.remembered() == [
            ("user", "a table please"),
            *said,
            ("user", "no but tomorrow"),
        ]
        assert [(it.role, it.text, it.interrupted) for it in line(play)][:2] == [
            ("caller", "a table please", False),
            ("agent", remembered, True),
        ]
        await play.ended()

    case()


@pytest.mark.parametrize("tenth", range(0, len(REPLY) // 10, 3))
def test_after_a_noise_at_any_time_the_reply_goes_on_at_a_word_and_none_is_lost(tenth: int) -> None:
    @virtual_time
    async def case() -> None:
        kind, _ = thinker(REPLY)
        play = Playbook(kind)
        await (play >> STREAM >> Says("a table please") >> After(tenth / 10 + 0.003))
        await (play >> Begins())
        cut = play.played
        await (play >> After(1.3) >> Echoes())
        again = play.played[len(cut) :].strip()
        assert REPLY.endswith(again)
        start = len(REPLY) - len(again)
        assert len(REPLY[:start].rstrip()) <= len(cut)
        assert start == 0 or REPLY[start - 1] == " " or REPLY[start] == " "
        assert [(it.role, it.text, it.interrupted) for it in line(play)][1:] == [
            ("agent", REPLY, False)
        ]
        await play.ended()

    case()


@virtual_time
async def test_of_words_still_in_the_phone_network_those_that_arrived_are_remembered() -> None:
    play = Playbook(agent(inference=_parrot), network_ms=100)
    await (play >> STREAM >> Says("one two three four") >> After(0.153))
    await (play >> Begins() >> Hears(Partial("no")))
    assert play.said("agent") == ["one"]
    await play.ended()


@virtual_time
async def test_what_arrived_during_the_pause_is_remembered_too() -> None:
    play = Playbook(agent(inference=_parrot), network_ms=100)
    await (play >> STREAM >> Says("one two three four") >> After(0.153))
    await (play >> Begins() >> After(0.3) >> Hears(Partial("no")))
    assert play.said("agent") == ["one two three"]
    await play.ended()


# Pause, commit, resume -------------------------------------------------------------------------


@virtual_time
async def test_a_backchannel_into_a_long_reply_is_written_down_and_not_answered() -> None:
    kind, model = thinker(REPLY)
    play = Playbook(kind)
    await (play >> STREAM >> Says("a table please") >> After(0.5))
    await (play >> Begins() >> Hears(Partial("mhm")) >> After(0.4) >> Says("Mhm.") >> Echoes())
    assert [(it.role, it.text) for it in line(play)] == [
        ("caller", "a table please"),
        ("caller", "Mhm."),
        ("agent", REPLY),
    ]
    assert len(model.prompts) == 1
    await play.ended()


@virtual_time
async def test_a_backchannel_at_the_end_of_a_question_answers_it() -> None:
    kind, model = thinker("Shall I book it for you?", "Done.")
    play = Playbook(kind)
    await (play >> STREAM >> Says("a table please") >> After(0.2))
    await (play >> Begins() >> Hears(Partial("yeah")) >> Says("yeah") >> Echoes())
    assert model.remembered()[-1] == ("user", "yeah")
    assert play.said("agent")[-1] == "Done."
    await play.ended()


@virtual_time
async def test_a_backchannel_to_a_silent_agent_answers_it() -> None:
    kind, model = thinker("Shall I book it?", "Done.")
    play = Playbook(kind)
    await (play >> STREAM >> Says("a table please") >> Echoes() >> After(1) >> Says("yeah"))
    assert model.remembered()[-1] == ("user", "yeah")
    await play.ended()


@virtual_time
async def test_a_commit_closes_the_models_stream_and_the_voices_context_at_once() -> None:
    kind, model = thinker(" ".join([REPLY] * 5), "Go on.", pace=0.02)
    play = Playbook(kind)
    await (play >> STREAM >> Says("a table please") >> After(2))
    assert model.closed == 0
    await (play >> Begins() >> Hears(Partial("stop")))
    assert model.closed == 1
    voice = play.agent.tts
    assert isinstance(voice, TimedVoice)
    assert len(voice.aborted) == 1
    posted = len(voice.posted)
    await (play >> After(2))
    assert len(voice.posted) == posted
    await play.ended()


@virtual_time
async def test_model_and_voice_run_on_through_a_pause() -> None:
    kind, model = thinker(REPLY, pace=0.02)
    play = Playbook(kind)
    await (play >> STREAM >> Says("a table please") >> After(0.5) >> Begins() >> After(1.1))
    voice = play.agent.tts
    assert isinstance(voice, TimedVoice)
    assert model.closed == 1
    assert "".join(it.data for it in voice.posted) == f"{REPLY} "
    await (play >> After(0.2) >> Echoes() >> Echoes())
    assert play.said("agent") == [REPLY]
    await play.ended()


@virtual_time
async def test_audio_that_the_voice_sends_after_a_commit_is_not_heard() -> None:
    voice = TimedVoice(held=True)
    play = Playbook(agent(tts=voice, inference=_parrot))
    await (play >> STREAM >> Says("one two three four"))
    late = voice.posted[-1]
    voice.release(late, done=False)
    await (play >> After(0.05) >> Begins() >> Hears(Partial("stop")))
    voice.aborted.clear()
    sent = len(play.wire.audio)
    voice.release(late)
    await (play >> After(2))
    assert len(play.wire.audio) == sent
    await play.ended()


@virtual_time
async def test_a_cough_while_the_model_thinks_costs_nothing() -> None:
    kind, model = thinker("Done.", pace=0.5)
    play = Playbook(kind)
    await (play >> STREAM >> Says("book it") >> After(0.1) >> Begins() >> After(2) >> Echoes())
    assert play.said("agent") == ["Done."]
    assert len(model.prompts) == 1
    await play.ended()


@virtual_time
async def test_a_caller_who_goes_on_while_the_model_thinks_is_answered_as_a_whole() -> None:
    kind, model = thinker("For how many?", "Done.", pace=0.5)
    play = Playbook(kind)
    await (play >> STREAM >> Says("a table") >> After(0.1))
    await (play >> Hears(Partial("for two")) >> Says("for two") >> After(2) >> Echoes())
    assert model.remembered() == [("user", "a table"), ("user", "for two")]
    assert play.said("agent") == ["Done."]
    await play.ended()


@virtual_time
async def test_an_answer_prepared_on_an_eager_end_is_said_when_the_words_hold() -> None:
    kind, model = thinker("At eight.", pace=0.1)
    play = Playbook(kind)
    await (play >> STREAM >> Hears(EagerEnd("what time")) >> After(0.5))
    assert (play.played, len(model.prompts)) == ("", 1)
    await (play >> Hears(EndOfTurn("What time?")) >> Echoes())
    assert play.said("agent") == ["At eight."]
    assert len(model.prompts) == 1
    await play.ended()


@virtual_time
async def test_an_answer_prepared_for_other_words_was_never_there() -> None:
    kind, model = thinker("At eight.", "Friday is fine.")
    play = Playbook(kind)
    await (play >> STREAM >> Hears(EagerEnd("what time")) >> After(0.5))
    await (play >> Hears(Partial("what time on friday")) >> Says("what time on friday") >> Echoes())
    assert play.said("agent") == ["Friday is fine."]
    assert model.remembered() == [("user", "what time on friday")]
    await play.ended()


# Speech that is heard out ------------------------------------------------------------------------


@virtual_time
async def test_uninterruptible_speech_is_heard_out_and_the_caller_is_answered_afterwards() -> None:
    async def inference(self: Agent, message: Message[str]) -> None:
        await self.say(f"I heard {message.data}", interruptible=message.data != "first")

    play = Playbook(agent(inference=inference))
    await (play >> STREAM >> Says("first") >> After(0.05))
    await (play >> Begins() >> Hears(Partial("second")) >> Says("second") >> Echoes() >> Echoes())
    assert messages.Clear not in play.wire.kinds()
    assert play.said("agent") == ["I heard first", "I heard second"]
    await play.ended()


@virtual_time
async def test_the_last_words_before_a_hang_up_are_heard_out_whatever_the_caller_says() -> None:
    async def inference(self: Agent, message: Message[str]) -> None:
        saying = asyncio.ensure_future(self.say("It was a pleasure, goodbye"))
        await asyncio.sleep(0)
        await self.call.hangup()
        await saying

    play = Playbook(agent(inference=inference))
    await (play >> STREAM >> Says("bye") >> After(0.05) >> Begins() >> Hears(Partial("one more")))
    assert messages.HangUp not in play.wire.kinds()
    await (play >> Echoes())
    assert play.wire.kinds()[-1] is messages.HangUp
    assert play.said("agent") == ["It was a pleasure, goodbye"]
    await (play >> messages.Reply(1) >> OVER)
    await play.ended()


@virtual_time
async def test_last_words_that_are_never_made_do_not_hold_the_line_for_ever() -> None:
    async def inference(self: Agent, message: Message[str]) -> None:
        saying = asyncio.ensure_future(self.say("goodbye"))
        await asyncio.sleep(0)
        await self.call.hangup()
        saying.cancel()

    play = Playbook(agent(tts=TimedVoice(held=True), inference=inference))
    await (play >> STREAM >> Says("bye") >> After(31))
    assert messages.HangUp in play.wire.kinds()
    await (play >> messages.Reply(1) >> OVER)
    await play.ended()


@virtual_time
async def test_a_goodbye_that_begins_in_a_pause_is_heard_and_the_line_is_left() -> None:
    play = Playbook(agent(inference=_parrot))
    await (play >> STREAM >> Says("one two three four") >> After(0.05) >> Begins())
    leaving = asyncio.ensure_future(play.call.hangup())
    await (play >> Echoes())
    assert play.said("agent") == ["one two three four"]
    assert messages.HangUp in play.wire.kinds()
    await (play >> messages.Reply(1) >> OVER)
    await leaving
    await play.ended()


# Keys ------------------------------------------------------------------------------------------


@virtual_time
async def test_a_key_interrupts_and_the_keys_are_a_turn() -> None:
    pressed = list[str]()

    async def on_keys(self: Agent, keys: str) -> None:
        pressed.append(keys)

    play = Playbook(agent(inference=_parrot, on_keys=on_keys))
    await (play >> STREAM >> Says("one two three four") >> After(0.09))
    await (play >> messages.Dtmf("1"))
    assert messages.Clear in play.wire.kinds()
    await (play >> messages.Dtmf("2") >> After(3.5))
    assert pressed == ["12"]
    assert play.said("agent") == ["one two"]
    await play.ended()


@virtual_time
async def test_keys_that_the_agent_waits_for_are_its_own() -> None:
    got = list[str]()

    async def inference(self: Agent, message: Message[str]) -> None:
        got.append(await self.keys())

    play = Playbook(agent(inference=inference))
    await (play >> STREAM >> Says("my number"))
    for key in "42#":
        await (play >> messages.Dtmf(key))
    assert got == ["42"]
    await play.ended()


# Silence and length ----------------------------------------------------------------------------

PATIENT = Turns(silence_s=5.0, ask_times=2, still_there="Still there?", goodbye="Goodbye then.")


@virtual_time
async def test_a_silent_caller_is_asked_twice_and_left_with_a_goodbye() -> None:
    play = await (Playbook(agent(turns=PATIENT)) >> STREAM)
    for _ in range(3):
        await (play >> After(5.1) >> Echoes())
    assert play.said("agent") == ["Still there?", "Still there?", "Goodbye then."]
    assert play.wire.kinds()[-1] is messages.HangUp
    await (play >> messages.Reply(1) >> OVER)
    await play.ended()


@virtual_time
async def test_a_caller_who_answers_is_there() -> None:
    play = Playbook(agent(turns=PATIENT, inference=_parrot))
    await (play >> STREAM >> After(5.1) >> Echoes() >> After(1) >> Says("yes I am") >> Echoes())
    await (play >> After(5.1) >> Echoes() >> After(5.1) >> Echoes())
    assert messages.HangUp not in play.wire.kinds()
    await play.ended()


@virtual_time
async def test_hold_music_does_not_keep_a_call_alive() -> None:
    play = await (Playbook(agent(turns=PATIENT, inference=_parrot)) >> STREAM)
    for _ in range(12):
        await (play >> Hears(SpeechStarted(lasting=True)) >> After(35) >> Hears(SpeechStopped()))
        await (play >> Echoes() >> After(1))
        if messages.HangUp in play.wire.kinds():
            break
    assert play.said("agent") == ["Still there?", "Still there?", "Goodbye then."]
    await (play >> messages.Reply(1) >> OVER)
    await play.ended()


@virtual_time
async def test_a_long_call_is_warned_and_ended() -> None:
    turns = Turns(silence_s=None, longest_s=120, warn_s=60, warning="One minute.", time_up="Bye.")
    play = await (Playbook(agent(turns=turns)) >> STREAM >> After(60.1) >> Echoes())
    assert play.said("agent") == ["One minute."]
    await (play >> After(60) >> Echoes())
    assert play.said("agent") == ["One minute.", "Bye."]
    assert play.wire.kinds()[-1] is messages.HangUp
    await (play >> messages.Reply(1) >> OVER)
    await play.ended()


# The stream ------------------------------------------------------------------------------------


@virtual_time
async def test_a_greeting_cut_by_a_lost_stream_goes_on_at_a_word_on_the_next() -> None:
    play = Playbook(agent(greeting="Bella Vista, good evening"))
    await (play >> After(0.3) >> STREAM >> After(0.163) >> STOPPED >> After(2))
    assert play.played == "Bella Vista, goo"
    await (play >> STREAM >> Echoes())
    assert play.played == "Bella Vista, goo" + "good evening"
    assert play.said("agent") == ["Bella Vista, good evening"]
    await play.ended()


@virtual_time
async def test_an_answer_that_is_ready_while_there_is_no_stream_is_said_on_the_next() -> None:
    kind, _ = thinker("At eight.", pace=0.3)
    play = Playbook(kind)
    await (play >> STREAM >> Says("what time") >> STOPPED >> After(2))
    assert play.played == ""
    await (play >> STREAM >> Echoes())
    assert play.said("agent") == ["At eight."]
    await play.ended()


@pytest.mark.parametrize("paused", [True, False])
def test_a_call_that_ends_in_mid_sentence_remembers_what_was_heard(paused: bool) -> None:
    @virtual_time
    async def case() -> None:
        play = Playbook(agent(inference=_parrot))
        await (play >> STREAM >> Says("one two three four") >> After(0.093))
        if paused:
            await (play >> Begins())
        await (play >> OVER)
        await play.ended()
        assert play.said("agent") == ["one two"]

    case()


@virtual_time
async def test_a_voice_that_is_lost_in_a_pause_ends_the_call_with_its_error() -> None:
    voice = TimedVoice(held=True)
    play = Playbook(agent(tts=voice, inference=_parrot))
    await (play >> STREAM >> Says("one two three"))
    voice.release(done=False)
    await (play >> After(0.05) >> Begins())
    assert voice.listener is not None
    voice.listener.failed(ProviderError("cartesia", "quota"))
    await settled()
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group of one
        await play.living
    error: BaseException = caught.value
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert str(error) == "cartesia: quota"


@virtual_time
async def test_ten_turns_with_everything_in_them_are_remembered_as_they_were_heard() -> None:
    kind, model = thinker(*[f"Answer number {n} it is, and a little more." for n in range(10)])
    play = await (Playbook(kind) >> STREAM)
    expected = list[tuple[str, str]]()
    for number in range(10):
        await (play >> Hears(SpeechStarted()) >> Hears(Partial(f"question {number}")))
        await (play >> Says(f"question {number}") >> After(0.183))
        expected.append(("user", f"question {number}"))
        if number % 3 == 1:
            await (play >> Begins() >> Hears(Partial("hm no")) >> After(1))
            expected.append(("assistant", f"Answer number {number} it"))
            await (play >> Hears(EndOfTurn("")))
        else:
            if number % 3 == 2:
                await (play >> Begins() >> After(1.3))
            await (play >> Echoes())
            expected.append(("assistant", f"Answer number {number} it is, and a little more."))
    assert model.remembered(9) == expected[:-1]
    await play.ended()
