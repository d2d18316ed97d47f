"""Another agent takes a call over, and voices and ears are changed in the middle of one."""

import asyncio
from typing import Any

import pytest

from shared import messages
from tests.virtual_time import virtual_time
from tests.worker.conversing import Live, clerk, problem
from tests.worker.playbook import STREAM, After, Ears, Hears, Says, TimedVoice, Voice
from tests.worker.scripted_llm import Hold, Model, Wait, call
from worker.agent import Agent
from worker.errors import ProviderRefusedError
from worker.message import Message
from worker.rehearsal import rehearse
from worker.stages import Stage
from worker.stt import EagerEnd
from worker.tools import tool
from worker.turns import Turns


class Owes:
    """A tool of the colleague's."""

    state: dict[str, Any]

    @tool
    async def owed(self) -> str:
        """Say what is owed."""
        self.state["owed"] = self.state.get("owed", 0) + 1
        return "Nothing."


def _desk(model: Model, other: type[Agent], **attributes: Any) -> type[Agent]:
    class Asks:
        @tool
        async def ask_billing(self) -> str:
            """Hand over to Billing."""
            await agent.hand_over(self, other)  # type: ignore[arg-type]
            return "Billing has taken over."

    agent = clerk(model, Asks, colleagues=(other,), instructions="You are the desk.", **attributes)
    return agent


def _spoken(voice: Voice) -> str:
    return "".join(it.data for it in voice.posted)


@virtual_time
async def test_a_colleague_goes_on_with_state_history_instructions_tools_and_providers() -> None:
    ours, theirs, ears, other_ears = Voice(), TimedVoice(), Ears(), Ears()
    desk_model = Model(["One moment. ", call("ask_billing")])
    model = Model("Hello, Billing here.", [call("owed")], "You owe nothing.")
    billing = clerk(
        model, Owes, tts=theirs, stt=other_ears, instructions="You are Billing; {{ state.name }}."
    )
    play = await (Live(_desk(desk_model, billing, tts=ours, stt=ears)) >> STREAM)
    play.agent.state["name"] = "Ada"
    await play.asks("my bill")
    await play.asks("what do I owe")
    now = play.session.conversation.agent
    assert type(now) is billing
    assert now.state == {"name": "Ada", "owed": 1}
    assert model.told(0)[0] == "system You are Billing; Ada."
    assert model.told(0)[1:3] == ["user my bill", "assistant One moment. [id-ask_billing {}]"]
    assert model.tools() == ["owed"]
    assert (_spoken(ours), _spoken(theirs)) == (
        "One moment. ",
        "Hello, Billing here.You owe nothing.",
    )
    assert (len(desk_model.asked), desk_model.sessions_closed) == (1, 1)
    assert (ours.closed, ears.closed, other_ears.closed) == (1, 1, 0)
    await play.finished()
    assert (theirs.closed, other_ears.closed, model.sessions_closed) == (1, 1, 1)


@virtual_time
async def test_what_both_share_is_kept_and_not_connected_again() -> None:
    ears, voice, model = Ears(), Voice(), Model([call("ask_billing")], "Billing.")
    billing = clerk(model, tts=voice, stt=ears)
    play = await (Live(_desk(model, billing, tts=voice, stt=ears)) >> STREAM)
    await play.asks("my bill")
    assert (model.sessions, ears.closed, voice.closed) == (1, 0, 0)
    assert play.said("agent") == ["Billing."]
    await play.finished()


@virtual_time
async def test_a_colleague_without_providers_of_its_own_goes_on_with_those_of_the_call() -> None:
    voice = Voice()

    async def on_taken_over(self: Agent) -> None:
        await self.say("Billing here.")

    async def inference(self: Agent, message: Message[str]) -> None:
        await self.say(f"You said {message.data}.")

    billing = clerk(stt=None, tts=None, on_taken_over=on_taken_over, inference=inference)
    play = await (Live(_desk(Model([call("ask_billing")]), billing, tts=voice)) >> STREAM)
    await play.asks("my bill")
    await play.asks("hello")
    assert play.said("agent") == ["Billing here.", "You said hello."]
    await (play >> After(20))
    assert play.said("agent")[-1] == "Are you still there?"
    await play.finished()


@virtual_time
async def test_a_colleague_begins_in_its_own_first_stage_with_its_voice_and_words() -> None:
    first = TimedVoice()
    stages = {"bills": Stage("Only bills.", tools=("owed",), tts=first, says="Billing here.")}
    model = Model([call("ask_billing")], "What about them?")
    billing = clerk(model, Owes, tts=Voice(), stages=stages)
    play = await (Live(_desk(model, billing, stages={"a": Stage("x")})) >> STREAM)
    await play.asks("my bill")
    assert model.told()[0] == "system Only bills."
    assert _spoken(first) == "Billing here.What about them?"
    assert play.session.conversation.stage == "bills"
    await play.finished()


@virtual_time
async def test_a_colleague_that_cannot_be_had_leaves_the_call_where_it_is() -> None:
    error = ProviderRefusedError("cartesia", "402: pay the bill", 402)
    billing = clerk(Model("never"), tts=TimedVoice(error=error))
    model = Model([call("ask_billing")], "Billing cannot be reached.")
    play = await (Live(_desk(model, billing)) >> STREAM)
    await play.asks("my bill")
    assert play.session.conversation.agent is play.agent
    assert play.said("agent") == ["Billing cannot be reached."]
    await play.finished()


@virtual_time
async def test_there_and_back_again_the_tools_are_those_of_the_agent_that_has_the_call() -> None:
    agents: list[Agent] = []

    class Back:
        @tool
        async def back(self) -> str:
            """Hand back."""
            agents.append(self)  # type: ignore[arg-type]
            await Agent.hand_over(self, desk)  # type: ignore[arg-type]
            return "The desk has taken over."

    class Asks:
        @tool
        async def ask_billing(self) -> str:
            """Hand over."""
            agents.append(self)  # type: ignore[arg-type]
            await Agent.hand_over(self, billing)  # type: ignore[arg-type]
            return "Billing has taken over."

    steps = [[call(name)] for name in ("ask_billing", "back", "ask_billing")]
    model, ears, voice = Model(*steps, "Here."), Ears(), Voice()
    billing = clerk(model, Back, stt=ears, tts=voice)
    desk = clerk(model, Asks, stt=ears, tts=voice)
    play = await (Live(desk) >> STREAM)
    await play.asks("go")
    assert [type(agent) for agent in agents] == [desk, billing, desk]
    assert agents[0] is not agents[2]
    await play.finished()


@virtual_time
async def test_an_answer_prepared_by_the_one_is_not_given_by_the_other() -> None:
    early, late = Model("Early."), Model("Billing.")
    billing = clerk(late)
    play = await (Live(_desk(early, billing)) >> STREAM >> Hears(EagerEnd("hello")) >> After(0.5))
    await play.agent.hand_over(billing)
    await play.asks("hello")
    assert play.said("agent") == ["Billing."]
    await play.finished()


@virtual_time
async def test_a_mind_that_is_replaced_while_it_answers_is_closed_when_it_has() -> None:
    hold = Hold()
    old, new = Model(["One. ", hold, "Two."]), Model("New.")
    play = await (Live(clerk(old)) >> STREAM >> Says("go") >> After(0.5))
    await play.session.conversation.set_llm(new)
    assert old.sessions_closed == 0
    hold.go()
    await (play >> After(2))
    assert (old.sessions_closed, old.closed) == (1, 0)
    await play.asks("again")
    assert play.said("agent") == ["One. Two.", "New."]
    await play.finished()


# Voices and ears in mid-call ---------------------------------------------------------------------


@virtual_time
async def test_a_callers_word_changes_the_voice() -> None:
    first, second = Voice(), TimedVoice()

    async def inference(self: Agent, message: Message[str]) -> None:
        if "agent" in message.data:
            await self.set_tts(second if self.state.setdefault("voice", 1) else first)
        await Agent.inference(self, message)

    play = await (Live(clerk(Model("Yes."), tts=first, inference=inference)) >> STREAM)
    await play.asks("hello")
    await play.asks("another agent please")
    await play.asks("thank you")
    assert (_spoken(first), _spoken(second)) == ("Yes.", "Yes.Yes.")
    assert (first.closed, second.closed) == (1, 0)
    await play.finished()


@virtual_time
async def test_other_ears_hear_from_then_on() -> None:
    first, second = Ears(), Ears()
    play = await (Live(clerk(Model("Yes."), stt=first)) >> STREAM)
    play.session.call_audio(b"\x01" * 160)
    await play.agent.set_stt(second)
    play.session.call_audio(b"\x02" * 160)
    assert (bytes(first.heard), bytes(second.heard)) == (b"\x01" * 160, b"\x02" * 160)
    assert (first.closed, second.closed) == (1, 0)
    await play.finished()


@pytest.mark.parametrize("part", ["stt", "tts"])
def test_a_provider_that_cannot_be_had_changes_nothing(part: str) -> None:
    @virtual_time
    async def case() -> None:
        error = ProviderRefusedError(part, "401: check the key", 401)
        play = await (Live(clerk(Model("Yes."))) >> STREAM)
        other: Any = Ears(error=error) if part == "stt" else Voice(error=error)
        with pytest.raises(ProviderRefusedError):
            await getattr(play.agent, f"set_{part}")(other)
        await play.asks("hello")
        assert play.said("agent") == ["Yes."]
        await play.finished()

    case()


@virtual_time
async def test_a_call_that_ends_during_a_handover_ends_as_calls_do() -> None:
    billing = clerk(Model("Hi"), tts=TimedVoice(delay=60))
    play = await (Live(_desk(Model([call("ask_billing"), Wait(1)]), billing)) >> STREAM)
    await play.asks("my bill", 1)
    await play.finished()


def test_nobody_is_really_connected_by_what_an_agent_does_in_its_rehearsal() -> None:
    class Real(Voice):
        def stand_in(self) -> Voice:
            return Voice()

        async def connect(self, listener: object) -> Voice:
            raise OSError("to the network")

    async def on_start(self: Agent) -> None:
        await self.set_tts(Real())
        await self.hand_over(other)

    async def on_taken_over(self: Agent) -> None:
        taken.append(self.call.rehearsal)

    taken: list[bool] = []
    other = clerk(Model("Hi"), tts=Real(), on_taken_over=on_taken_over)
    rehearse([clerk(Model("Hi"), tts=Real(), on_start=on_start, colleagues=(other,))], "r1")
    assert taken == [True]


@pytest.mark.parametrize("parts", [{"greeting": "{% if state.x is defined %}Hi{% endif %}"}, {}])
def test_an_agent_with_nothing_to_say_at_first_is_rehearsed_to_its_end(parts: Any) -> None:
    asked: list[str] = []

    async def inference(self: Agent, message: Message[str]) -> None:
        asked.append(message.data)
        await self.call.hangup()

    from worker.stand_ins import EnergySTT

    rehearse([clerk(stt=EnergySTT(), inference=inference, **parts)], "r1")
    assert asked == ["hello"]


@virtual_time
async def test_an_agent_that_greets_without_a_voice_is_silent() -> None:
    play = await (Live(clerk(Model("x"), tts=None, greeting="Hello")) >> STREAM >> After(1))
    assert play.told(messages.Said) == []
    await play.finished()


@virtual_time
async def test_a_greeting_that_cannot_be_made_ends_the_call_with_its_line() -> None:
    play = await Live(clerk(Model("x"), greeting="Hi {{ state.name }}"))
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group of one
        await play.living
    assert str(problem(caught.value)).startswith("Clerk.greeting: line 1: ")


# While the phone rings ---------------------------------------------------------------------------


@virtual_time
async def test_a_greeting_may_name_what_a_hook_has_looked_up_while_it_rang() -> None:
    async def on_ringing(self: Agent) -> None:
        await asyncio.sleep(0.3)
        self.state["name"] = "Ada"

    greeting = "Hello {{ state.name }}"
    play = Live(clerk(Model("x"), greeting=greeting, on_ringing=on_ringing))
    await (play >> STREAM >> After(0.2))
    assert play.told(messages.Speaking) == []
    await (play >> After(1))
    assert play.said("agent") == ["Hello Ada"]
    await play.finished()


@virtual_time
async def test_a_greeting_that_needs_nothing_waits_for_no_hook() -> None:
    async def on_ringing(self: Agent) -> None:
        await asyncio.sleep(2)

    voice = Voice()
    play = Live(clerk(Model("x"), tts=voice, greeting="Hello", on_ringing=on_ringing))
    await (play >> After(0.1))
    assert _spoken(voice) == "Hello"
    await play.finished()


@pytest.mark.parametrize("slow", [0.0, 0.5])
def test_a_voice_chosen_while_it_rings_is_the_one_that_greets(slow: float) -> None:
    usual, chosen = Voice(delay=slow), TimedVoice(delay=0.1)

    async def on_ringing(self: Agent) -> None:
        await self.set_tts(chosen)

    @virtual_time
    async def case() -> None:
        agent = clerk(Model("Yes."), tts=usual, greeting="Hello", on_ringing=on_ringing)
        play = await (Live(agent) >> After(1) >> STREAM >> After(1))
        await play.asks("hi")
        assert _spoken(chosen) == "HelloYes."
        assert play.said("agent") == ["Hello", "Yes."]
        assert usual.closed == 1
        await play.finished()

    case()


@pytest.mark.parametrize("slow", [0.0, 0.5])
def test_a_call_handed_over_while_it_rings_is_greeted_and_answered_by_the_colleague(
    slow: float,
) -> None:
    ears, voice, model = Ears(), TimedVoice(), Model("Of course.")
    vip = clerk(model, stt=ears, tts=voice, greeting="Good day, {{ state.name }}.")

    async def on_ringing(self: Agent) -> None:
        self.state["name"] = "Ada"
        await self.hand_over(vip)

    @virtual_time
    async def case() -> None:
        usual, theirs = Ears(delay=slow), Voice(delay=slow)
        agent = clerk(
            Model("x", delay=slow), stt=usual, tts=theirs, greeting="Hi.", on_ringing=on_ringing
        )
        play = await (Live(agent) >> After(1) >> STREAM >> After(1))
        await play.asks("hello")
        play.session.call_audio(b"\x01" * 160)
        assert play.said("agent") == ["Good day, Ada.", "Of course."]
        assert (len(ears.heard), len(usual.heard)) == (160, 0)
        assert (usual.closed, theirs.closed) == (1, 1)
        assert model.told(0) == ["assistant Good day, Ada.", "user hello"]
        await play.finished()

    case()


@virtual_time
async def test_a_colleague_takes_turns_in_its_own_way() -> None:
    model = Model("Yes?")
    billing = clerk(model, Owes, turns=Turns(silence_s=3, still_there="Billing is still here."))
    desk_model = Model(["One moment. ", call("ask_billing")])
    play = await (Live(_desk(desk_model, billing, turns=Turns(silence_s=None))) >> STREAM)
    await play.asks("my bill", 5)
    assert "Billing is still here." in play.said("agent")
    await play.finished()
