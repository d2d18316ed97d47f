import asyncio
import math
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.fakes.openai import OpenAIFake
from tests.fakes.openai_chat import Wants
from tests.harness import eventually
from tests.worker.testing.clinic import Clinic, Parrot
from worker import (
    Agent,
    CallInfo,
    Message,
    ProviderError,
    RequestError,
    Turns,
    WarmTransfer,
)
from worker.errors import ProviderRefusedError
from worker.instructions import InstructionsError
from worker.llm import Prompt, Returned, Said
from worker.providers import OpenAI
from worker.stand_ins import CannedLLM, EnergySTT, ToneTTS
from worker.testing import (
    ExpectationError,
    Reply,
    ScriptedLLM,
    ScriptError,
    Talk,
    TalkOverError,
    TalkTimeoutError,
    calls,
    fails,
    says,
    waiting,
)
from worker.testing.happenings import Happening, Moved, ToolCalled, ToolReturned, Word

VERIFIED = calls("verify", name="Ada")


def _parrot(**parts: Any) -> type[Agent]:
    return type("TestParrot", (Parrot,), parts)


# Turns ---------------------------------------------------------------------------------------


async def test_a_typed_turn_is_answered_in_text() -> None:
    async with Talk(Parrot) as talk:
        assert talk.greeting == ""
        reply = await talk.say("two of us")
    assert reply == Reply('Caller: "two of us"', "You said two of us.", "Parrot")


async def test_the_greeting_is_heard_before_anything_is_said() -> None:
    async with Talk(Clinic, llm=ScriptedLLM()) as talk:
        assert talk.greeting == talk.reply.text == "Dental Help, who is speaking?"


async def test_spaces_between_clauses_sentences_and_utterances_are_kept() -> None:
    async def inference(self: Agent, message: Message[str]) -> None:
        await self.say("One, two, and three.  Four!\nFive costs 3.50.")
        await self.say("Six.")

    async with Talk(_parrot(inference=inference)) as talk:
        reply = await talk.say("count")
    assert reply.text == "One, two, and three. Four! Five costs 3.50. Six."


async def test_other_scripts_come_out_as_they_went_in() -> None:
    async with Talk(Parrot) as talk:
        for text in ("こんにちは。はい。", "Grüß Gott 👋🏽", "Здравствуйте"):
            assert (await talk.say(text)).text == f"You said {text}."


async def test_speech_of_which_nothing_was_understood_is_an_empty_turn() -> None:
    async with Talk(Parrot) as talk:
        assert (await talk.say("")).text == "You said nothing."


async def test_an_agent_that_is_patient_is_not_waited_for() -> None:
    began = time.monotonic()
    async with Talk(_parrot(turns=Turns(patience_ms=30_000))) as talk:
        assert (await talk.say("hello")).text == "You said hello."
    assert time.monotonic() - began < 20


async def test_the_call_is_the_one_it_is_told_to_be() -> None:
    model = ScriptedLLM("Hello.")
    info = CallInfo("CA1", from_="+1", to="+49301234", parameters={"x": "y"})
    async with Talk(Clinic, llm=model, info=info) as talk:
        await talk.say("hello")
        assert talk.agent.call.info is info
    assert model.instructions == "You answer for +49301234.\n\nVerify."


async def test_it_runs_without_pytest_asyncio() -> None:
    async def main() -> str:
        async with Talk(Parrot) as talk:
            return (await talk.say("hello")).text

    assert await asyncio.to_thread(asyncio.run, main()) == "You said hello."


async def test_talks_at_once_do_not_mix() -> None:
    async def one(number: int) -> str:
        async with Talk(Parrot) as talk:
            return "".join([(await talk.say(f"{number}.{turn}")).text for turn in range(3)])

    said = await asyncio.gather(*(one(number) for number in range(20)))
    assert said == ["".join(f"You said {n}.{turn}." for turn in range(3)) for n in range(20)]


# Model and tools -----------------------------------------------------------------------------


async def test_the_agents_own_model_thinks_when_no_other_is_given() -> None:
    async with Talk(Clinic) as talk:
        assert (await talk.say("hello")).text == "Of course."


async def test_a_tool_is_told_with_arguments_and_outcome() -> None:
    model = ScriptedLLM([says("One moment."), VERIFIED], "Thank you.")
    async with Talk(Clinic, llm=model) as talk:
        reply = await talk.say("Ada")
        use = talk.expect_tool("verify", name="Ada")
        talk.expect_stage("main")
    assert reply.text == "One moment. Thank you."
    assert (use.outcome, use.label) == ("Confirmed.", "ok")
    assert reply.stages == ("main",)


async def test_tools_side_by_side_are_each_told_their_own_outcome() -> None:
    model = ScriptedLLM(
        [calls("slow"), calls("verify", name="Bob"), calls("broken"), calls("fly"), VERIFIED],
        "So.",
    )
    async with Talk(Clinic, llm=model) as talk:
        reply = await talk.say("all of it")
    assert [(use.name, use.label) for use in reply.tools] == [
        ("slow", "ok"),
        ("verify", "error"),
        ("broken", "error"),
        ("fly", "unknown"),
        ("verify", "ok"),
    ]
    assert [use.outcome for use in reply.tools][:2] == ["done at last", "Nobody of that name."]


async def test_the_traceback_of_a_tool_that_fails_is_among_the_problems() -> None:
    async with Talk(Clinic, llm=ScriptedLLM(calls("broken"), "Sorry.")) as talk:
        reply = await talk.say("go")
    assert "LookupError: no such table" in reply.problems[0]


async def test_arguments_that_do_not_fit_never_reach_the_tool() -> None:
    model = ScriptedLLM(VERIFIED, calls("book", day="friday", people=40), "How many?")
    async with Talk(Clinic, llm=model) as talk:
        reply = await talk.say("Ada, for forty")
        assert "booked" not in talk.state
    assert reply.tools[1].label == "invalid"
    last = model.prompts[2].items[-1]
    assert isinstance(last, Returned)
    assert "people" in last.text


async def test_a_model_that_calls_tools_for_ever_is_stopped() -> None:
    async with Talk(Clinic, llm=ScriptedLLM(lambda prompt: calls("slow"))) as talk:
        reply = await talk.say("go")
    labels = [use.label for use in reply.tools]
    assert labels[: Clinic.most_steps] == ["ok"] * Clinic.most_steps
    assert set(labels[Clinic.most_steps :]) == {"not run"}


async def test_a_function_may_be_the_model() -> None:
    def model(prompt: Prompt) -> str:
        lines = [it for it in prompt.items if isinstance(it, Said) and it.role == "user"]
        return f"That was line {len(lines)}."

    async with Talk(Clinic, llm=ScriptedLLM(model)) as talk:
        await talk.say("a")
        assert (await talk.say("b")).text == "That was line 2."


async def test_a_model_that_fails_is_excused_once_and_then_ends_the_call() -> None:
    model = ScriptedLLM(fails("gone"), "Here again.", fails(), fails("for good"))
    async with Talk(Clinic, llm=model) as talk:
        reply = await talk.say("a")
        assert reply.text == Clinic.sorry
        assert reply.problems == ("scripted: gone",)
        assert (await talk.say("b")).text == "Here again."
        await talk.say("c")
        with pytest.raises(ProviderError, match="for good"):
            await talk.say("d")


async def test_a_script_that_is_too_short_says_so() -> None:
    async with Talk(Clinic, llm=ScriptedLLM("Yes.")) as talk:
        await talk.say("a")
        with pytest.raises(ScriptError, match=r'has 1 answers.*after user "b"'):
            await talk.say("b")


async def test_a_script_for_an_agent_that_asks_no_model_is_refused() -> None:
    with pytest.raises(ValueError, match="Parrot has no llm"):
        async with Talk(Parrot, llm=ScriptedLLM("Yes.")):
            pass


async def test_the_model_of_an_agent_without_a_key_is_refused_as_in_a_template() -> None:
    class Refused(CannedLLM):
        def prepare(self) -> None:
            raise ProviderRefusedError("openai", "there is no key: set OPENAI_API_KEY")

    with pytest.raises(ProviderRefusedError):
        async with Talk(_parrot(llm=Refused())):
            pass


# Stages and colleagues -----------------------------------------------------------------------


async def test_a_conversation_goes_from_stage_to_stage_to_its_end() -> None:
    model = ScriptedLLM(
        VERIFIED,
        "Which day?",
        calls("book", day="friday", people=2),
        "Done. Anything else?",
        calls("move_to_stage", stage="summary"),
        [says("Friday. Bye."), calls("hang_up")],
    )
    async with Talk(Clinic, llm=model) as talk:
        assert talk.reply.stage == "verify"
        await talk.say("Ada")
        assert model.tools == ("book", "ask_billing", "move_to_stage")
        await talk.say("friday, for two")
        talk.expect_tool("book", day="friday", people=2)
        reply = await talk.say("no")
        talk.expect_hung_up()
        talk.expect_stage("summary")
        assert talk.over
        assert talk.state["booked"] == ("friday", 2)
    assert reply.text == "So. Friday. Bye."
    assert model.left == 0


async def test_a_colleague_is_heard_and_thinks_in_the_same_text_mode() -> None:
    model = ScriptedLLM(VERIFIED, "Yes?", calls("ask_billing"), "What is it?", "Paid.")
    async with Talk(Clinic, llm=model) as talk:
        await talk.say("Ada")
        reply = await talk.say("a bill")
        talk.expect_agent("Billing")
        assert (await talk.say("is it paid?")).text == "Paid."
    assert reply.text == "This is Billing. What is it?"
    assert model.instructions == "You are Billing."


# The line ------------------------------------------------------------------------------------


async def test_the_last_words_are_heard_before_the_agent_hangs_up() -> None:
    async def inference(self: Agent, message: Message[str]) -> None:
        asyncio.get_running_loop().create_task(self.say("Goodbye, and have a nice day."))
        await asyncio.sleep(0.01)
        await self.call.hangup()

    async with Talk(_parrot(inference=inference)) as talk:
        reply = await talk.say("bye")
    assert reply.hung_up
    assert reply.text == "Goodbye, and have a nice day."


async def test_nothing_can_be_said_when_the_call_is_over() -> None:
    async with Talk(Clinic, llm=ScriptedLLM([says("Bye."), calls("transfer", to="manager")])) as t:
        await t.say("a human")
        t.expect_transferred("manager")
        with pytest.raises(TalkOverError, match="over"):
            await t.say("hello?")


async def test_a_destination_that_there_is_not_is_refused() -> None:
    async def inference(self: Agent, message: Message[str]) -> None:
        try:
            await self.call.transfer(message.data)
        except RequestError as error:
            await self.say(f"No: {error.code}.")

    async with Talk(_parrot(inference=inference), destinations={"manager"}) as talk:
        assert (await talk.say("boss")).text == "No: destination."
        assert (await talk.say("manager")).transferred_to == "manager"


async def test_who_is_asked_first_answers_as_the_test_says() -> None:
    class Desk(Parrot):
        llm = CannedLLM()
        tools = (WarmTransfer("manager", "sales"),)
        inference = Agent.inference

    asks = calls("transfer_warm", to="sales", summary="Ada is angry.")
    again = calls("transfer_warm", to="manager", summary="Ada is angry.")
    model = ScriptedLLM([says("One moment."), asks], "Nobody is there.", [again])
    async with Talk(Desk, llm=model, humans={"sales": "no_answer"}) as talk:
        reply = await talk.say("sales, please")
        assert reply.text == "One moment. Nobody is there."
        assert reply.transferred_to is None
        await talk.say("the manager then")
        talk.expect_transferred("manager")


async def test_recordings_and_digits_work_as_far_as_they_can() -> None:
    async def inference(self: Agent, message: Message[str]) -> None:
        await self.call.start_recording()
        await self.call.send_digits("12w3")

    async with Talk(_parrot(inference=inference)) as talk:
        assert (await talk.say("go")).digits == "12w3"


async def test_other_audio_says_nothing_and_disturbs_nothing() -> None:
    async def inference(self: Agent, message: Message[str]) -> None:
        self.call.play(os.urandom(20_000))
        await self.say("After the beep.")

    async with Talk(_parrot(inference=inference)) as talk:
        assert (await talk.say("go")).text == "After the beep."


# Keys ----------------------------------------------------------------------------------------


async def test_keys_that_a_tool_waits_for_are_typed_in_between() -> None:
    model = ScriptedLLM(calls("ask_pin"), "Thank you.")
    async with Talk(Clinic, llm=model) as talk:
        assert (await talk.say("hello")).text == "Type your number, please."
        reply = await talk.press("42#")
    assert reply.text == "Thank you."
    assert reply.tools[0].outcome == "42"


async def test_keys_that_nobody_types_time_out_without_waiting() -> None:
    began = time.monotonic()
    async with Talk(Clinic, llm=ScriptedLLM(calls("ask_pin"), "No?")) as talk:
        await talk.say("hello")
        assert (await talk.silence(5)).text == ""
        reply = await talk.silence(6)
    assert reply.text == "No?"
    assert reply.tools[0].outcome == "no number came"
    assert time.monotonic() - began < 10


async def test_keys_without_an_end_key_count_after_their_time() -> None:
    async with Talk(Clinic, llm=ScriptedLLM("Seven it is.")) as talk:
        assert (await talk.press("7")).text == "Seven it is."


async def test_what_is_no_key_cannot_be_pressed() -> None:
    async with Talk(Parrot) as talk:
        for keys in ("", "12x"):
            with pytest.raises(ValueError, match="no keys"):
                await talk.press(keys)


# Silence -------------------------------------------------------------------------------------


async def test_a_silence_lasts_for_a_time_that_passes() -> None:
    async with Talk(Parrot) as talk:
        for seconds in (-1, math.inf, math.nan):
            with pytest.raises(ValueError, match="no silence"):
                await talk.silence(seconds)


async def test_silence_is_asked_about_and_then_hung_up_on_at_once() -> None:
    began = time.monotonic()
    async with Talk(_parrot(turns=Turns(silence_s=20, ask_times=1, goodbye="Bye."))) as talk:
        assert (await talk.silence(19)).text == ""
        assert (await talk.silence(2)).text == "Are you still there?"
        reply = await talk.silence(60)
    assert (reply.text, reply.hung_up) == ("Bye.", True)
    assert time.monotonic() - began < 40


async def test_silence_without_the_time_for_a_reminder_is_only_silence() -> None:
    async with Talk(Parrot) as talk:
        for _ in range(5):
            assert (await talk.silence(10)).text in ("", Turns().still_there)
            await talk.say("yes")
            talk.expect_said("you said yes")


async def test_a_call_that_lasts_too_long_is_warned_and_ended() -> None:
    turns = Turns(longest_s=100, warn_s=30, silence_s=None)
    async with Talk(_parrot(turns=turns)) as talk:
        assert (await talk.silence(71)).text == turns.warning
        assert (await talk.silence(40)).hung_up


# Interruptions -------------------------------------------------------------------------------


LONG = "We are open every day but Monday, from five until eleven at night. And on Sundays at noon."


async def test_the_agent_remembers_what_was_heard_before_it_was_interrupted() -> None:
    model = ScriptedLLM(LONG, "On Mondays we are closed.")
    async with Talk(Clinic, llm=model) as talk:
        reply = await talk.say("When are you open?", until="every day but")
        assert reply.text == "We are open every day but"
        reply = await talk.say("And on Monday?")
        assert reply.text == "On Mondays we are closed."
        said = [line["content"] for line in talk.history.messages()]
    assert said[2:] == [
        "We are open every day but",
        "And on Monday?",
        "On Mondays we are closed.",
    ]


async def test_who_only_listens_aloud_lets_the_agent_go_on() -> None:
    async with Talk(Clinic, llm=ScriptedLLM(LONG)) as talk:
        first = await talk.say("When are you open?", until="every day but")
        rest = await talk.say("mhm")
        assert f"{first.text} {rest.text}" == LONG


async def test_a_speech_that_cannot_be_interrupted_goes_on() -> None:
    async def inference(self: Agent, message: Message[str]) -> None:
        await self.say(f"This call, {message.data}, is recorded.", interruptible=False)

    async with Talk(_parrot(inference=inference)) as talk:
        await talk.say("one", until="This call")
        assert (await talk.say("two")).text == ", one, is recorded. This call, two, is recorded."[
            2:
        ]


async def test_words_that_the_agent_never_says_cannot_be_waited_for() -> None:
    async with Talk(Parrot) as talk:
        with pytest.raises(ExpectationError, match='never said "goodbye"'):
            await talk.say("hello", until="goodbye")


async def test_a_talk_may_end_in_the_middle_of_a_word() -> None:
    began = time.monotonic()
    async with Talk(Clinic, llm=ScriptedLLM(LONG * 10)) as talk:
        await talk.say("When are you open?", until="We")
    assert time.monotonic() - began < 20


# Hooks, failures and ends ----------------------------------------------------------------------


async def test_what_hooks_say_of_themselves_belongs_to_the_beginning() -> None:
    async def on_start(self: Agent) -> None:
        await asyncio.sleep(0.05)
        await self.say("I looked you up.")

    async with Talk(_parrot(greeting="Hello.", on_start=on_start)) as talk:
        assert talk.greeting == "Hello. I looked you up."


async def test_a_hook_that_never_returns_does_not_hold_up_the_talk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def on_start(self: Agent) -> None:
        await asyncio.Event().wait()

    async with Talk(_parrot(on_start=on_start)) as talk:
        monkeypatch.setattr(waiting, "HOOK_SECONDS", 20.0)
        began = time.monotonic()
        await talk.say("a")
        assert (await talk.say("b")).text == "You said b."
        assert time.monotonic() - began < 15


async def test_what_the_agent_raises_is_raised_where_it_was_provoked() -> None:
    async def inference(self: Agent, message: Message[str]) -> None:
        raise KeyError(message.data)

    async with Talk(_parrot(inference=inference)) as talk:
        with pytest.raises(KeyError, match="boom"):
            await talk.say("boom")


async def test_what_the_last_hook_raises_is_raised_by_the_end_of_the_talk() -> None:
    async def on_ended(self: Agent) -> None:
        raise LookupError("too late")

    talk = Talk(_parrot(on_ended=on_ended))
    with pytest.raises(LookupError, match="too late"):
        async with talk:
            await talk.say("hello")
    with pytest.raises(ZeroDivisionError):  # the test's own failure is the one to see
        async with Talk(_parrot(on_ended=on_ended)):
            raise ZeroDivisionError


async def test_hanging_up_runs_the_last_hook() -> None:
    async def on_ended(self: Agent) -> None:
        self.state["ended"] = True

    async with Talk(_parrot(on_ended=on_ended)) as talk:
        await talk.hang_up()
        assert talk.state == {"ended": True}
        assert talk.over


async def test_an_agent_that_hangs_is_given_up_with_the_place_where_it_waits() -> None:
    async def inference(self: Agent, message: Message[str]) -> None:
        await asyncio.sleep(3600)  # here

    with pytest.raises(TalkTimeoutError, match=r"after 0.2 s; .*test_talk.py:\d+ .*# here") as info:
        async with Talk(_parrot(inference=inference), limit_s=0.2) as talk:
            await talk.say("hello")
    assert info.value.limit_s == 0.2


async def test_an_agent_without_ears_hears_no_words() -> None:
    class Deaf(Agent):
        tts = ToneTTS()
        greeting = "Hello?"

    async with Talk(Deaf) as talk:
        assert talk.greeting == "Hello?"
        with pytest.raises(ValueError, match="Deaf has no stt"):
            await talk.say("hello")


async def test_an_agent_without_a_voice_is_only_watched() -> None:
    async def inference(self: Agent, message: Message[str]) -> None:
        self.state["heard"] = message.data

    class Mute(Agent):
        stt = EnergySTT()

    Mute.inference = inference  # type: ignore[method-assign]
    async with Talk(Mute) as talk:
        await talk.say("hello")
        talk.expect_silence()
        assert talk.state == {"heard": "hello"}


# Files ---------------------------------------------------------------------------------------


async def test_files_of_the_agent_are_found_in_its_folder_for_the_time_of_the_talk(
    tmp_path: Path,
) -> None:
    (tmp_path / "prompt-of-talk.md").write_text("You are from a file.")
    agent = _parrot(llm=CannedLLM(), instructions="prompt-of-talk.md", inference=Agent.inference)
    before, model = Path.cwd(), ScriptedLLM("Yes.")
    async with Talk(agent, llm=model, folder=tmp_path) as talk:
        await talk.say("hello")
    assert model.instructions == "You are from a file."
    assert Path.cwd() == before


async def test_what_is_wrong_with_the_agent_is_said_before_anything_else(tmp_path: Path) -> None:
    before = Path.cwd()
    with pytest.raises(InstructionsError, match=r"nowhere\.md"):
        async with Talk(_parrot(instructions="nowhere.md"), folder=tmp_path):
            pass
    assert Path.cwd() == before


# Watching ------------------------------------------------------------------------------------


async def test_everything_is_told_as_it_happens_and_in_order() -> None:
    told: list[Happening] = []
    model = ScriptedLLM([says("One moment."), VERIFIED], "Yes?")
    async with Talk(Clinic, llm=model, told=told.append) as talk:
        del told[:]
        await talk.say("Ada")
    kinds = [type(it) for it in told if isinstance(it, Word | ToolCalled | ToolReturned | Moved)]
    assert kinds == [Word, Word, ToolCalled, Moved, ToolReturned, Word]


async def test_a_tool_that_goes_on_after_an_interruption_is_told_when_it_is_done() -> None:
    def is_done(talk: Talk) -> bool:
        items = talk.history.items
        return any(isinstance(it, Returned) and it.text == "done at last" for it in items)

    model = ScriptedLLM([says("One moment, I am looking."), calls("slow")], "Yes?", "So.")
    async with Talk(Clinic, llm=model) as talk:
        first = await talk.say("look", until="one moment")
        assert [use.label for use in first.tools] == ["running"]
        await talk.say("wait")
        await eventually(lambda: is_done(talk))
        await talk.say("and?")
        labels = [use.label for reply in talk.replies for use in reply.tools]
    assert labels[-1] == "ok"
    assert is_done(talk)


async def test_an_answer_that_was_prepared_in_patience_is_asked_for_once() -> None:
    class Patient(Clinic):
        turns = Turns(patience_ms=800)

    model = ScriptedLLM("Yes?")
    async with Talk(Patient, llm=model) as talk:
        assert (await talk.say("hello")).text == "Yes?"
    assert len(model.prompts) == 1


async def test_a_long_answer_takes_no_time() -> None:
    text = " ".join(f"Sentence {number} has five words." for number in range(200))
    began = time.monotonic()
    async with Talk(Clinic, llm=ScriptedLLM(text)) as talk:
        assert (await talk.say("tell me all")).text == text
    assert time.monotonic() - began < 60


@pytest_asyncio.fixture
async def talk() -> AsyncIterator[Talk]:
    """A talk that begins and ends in tasks other than the test's."""
    async with Talk(Clinic) as talk:
        yield talk


async def test_a_talk_may_be_a_fixture(talk: Talk) -> None:
    await talk.say("hello")
    talk.expect_said("of course")


async def test_what_the_agent_says_of_itself_between_turns_belongs_to_the_next_reply() -> None:
    async with Talk(Parrot) as talk:
        late = asyncio.create_task(talk.agent.say("By the way."))
        await late
        assert (await talk.silence(0)).text == "By the way."


async def test_the_real_provider_of_a_model_streams_and_calls_tools(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Hosted(Clinic):
        llm = OpenAI()  # type: ignore[assignment]

    async with OpenAIFake() as fake:
        monkeypatch.setenv("OPENAI_BASE_URL", fake.url)
        monkeypatch.setenv("OPENAI_API_KEY", fake.key or "")
        fake.replies = [["One moment. ", Wants("verify", {"name": "Ada"})], "Which day?"]
        async with Talk(Hosted) as talk:
            reply = await talk.say("Ada")
            talk.expect_tool("verify", name="Ada")
    assert reply.text == "One moment. Which day?"
