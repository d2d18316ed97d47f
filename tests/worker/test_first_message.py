"""What the operator's own service has an agent say first, and the events an agent tells."""

import asyncio
import json
from typing import Any

import pytest

from shared import messages
from tests.virtual_time import settled, virtual_time
from tests.worker.conversing import Live, clerk
from tests.worker.playbook import OVER, SID, STREAM, After
from tests.worker.scripted_llm import Model
from tests.worker.scripted_speech import Speech, talker
from worker.agent import Agent
from worker.call_info import CallInfo
from worker.errors import CallOverError, RequestError
from worker.instructions import InstructionsError
from worker.roles import prepare_words

ASKED = CallInfo(SID, first_message_s=2.0)


def first(**attributes: Any) -> type[Agent]:
    return clerk(Model("Yes."), first_message="The default.", **attributes)


@virtual_time
async def test_what_the_service_says_is_the_greeting() -> None:
    play = await (Live(first(), ASKED) >> messages.FirstMessage("Hello Eva.") >> STREAM >> After(5))
    assert play.said("agent") == ["Hello Eva."]
    await play.finished()


@virtual_time
async def test_when_nothing_comes_in_time_the_agent_says_its_own() -> None:
    play = await (Live(first(), ASKED) >> STREAM >> After(2.4))
    assert play.said("agent") == []
    await (play >> After(3))
    assert play.said("agent") == ["The default."]
    await (play >> messages.FirstMessage("Too late.") >> After(3))
    assert play.said("agent") == ["The default."]
    await play.finished()


@virtual_time
async def test_when_the_service_has_nothing_to_say_the_agent_does_not_wait() -> None:
    play = await (Live(first(), ASKED) >> messages.FirstMessage("") >> STREAM >> After(1.5))
    assert play.said("agent") == ["The default."]
    await play.finished()


@virtual_time
async def test_where_nobody_is_asked_nobody_waits() -> None:
    play = await (Live(first()) >> After(0.1) >> STREAM >> After(1.5))
    assert play.said("agent") == ["The default."]
    await play.finished()


@virtual_time
async def test_an_agent_that_takes_no_part_does_not_wait() -> None:
    play = await (Live(clerk(Model("x"), greeting="Hello."), ASKED) >> STREAM >> After(1.5))
    assert play.said("agent") == ["Hello."]
    await play.finished()


@virtual_time
async def test_greeting_and_instructions_can_hold_it() -> None:
    model = Model("Yes.")
    agent = clerk(
        model,
        first_message="The default.",
        greeting="Bella Vista. {{ first_message }}",
        instructions="Said: {{ first_message }}",
    )
    play = await (Live(agent, ASKED) >> messages.FirstMessage("Welcome.") >> STREAM >> After(5))
    assert play.said("agent") == ["Bella Vista. Welcome."]
    await play.asks("hi")
    assert "Said: Welcome." in str(model.asked[0].items[0])
    await play.finished()


@virtual_time
async def test_it_is_waited_for_beside_the_hook_and_not_after_it() -> None:
    async def looks_up(self: Agent) -> None:
        await asyncio.sleep(2)

    agent = first(on_ringing=looks_up)
    play = await (Live(agent, ASKED) >> STREAM >> After(1.9) >> messages.FirstMessage("Hello Eva."))
    await (play >> After(1.5))
    assert play.said("agent") == ["Hello Eva."]
    await play.finished()


@virtual_time
async def test_a_speech_model_is_told_it_and_not_before() -> None:
    model = Speech()
    play = await (Live(talker(model, first_message="The default."), ASKED) >> After(1))
    assert model.openings == []
    await (play >> messages.FirstMessage("Hello Eva.") >> STREAM)
    assert [it.greeting for it in model.openings] == ["Hello Eva."]
    await play.finished()


def test_a_template_that_names_it_needs_an_agent_that_has_one() -> None:
    prepare_words(first(greeting="{{ first_message }}"))
    with pytest.raises(InstructionsError):
        prepare_words(clerk(Model("x"), greeting="{{ first_message }}"))


def test_what_a_service_says_is_no_template() -> None:
    @virtual_time
    async def case() -> None:
        told = messages.FirstMessage("{{ state.secret }}")
        play = await (Live(first(), ASKED) >> told >> STREAM >> After(5))
        assert play.said("agent") == ["{{ state.secret }}"]
        await play.finished()

    case()


# Events ------------------------------------------------------------------------------------------


@virtual_time
async def test_an_event_is_told_and_waits_until_it_is_durable() -> None:
    play = await (Live(clerk(Model("x"))) >> STREAM)
    telling = asyncio.ensure_future(
        play.call.emit("booking", {"people": 2, "who": ValueError("x")})
    )
    await settled()
    (emit,) = play.told(messages.Emit)
    assert (emit.name, json.loads(emit.data)) == ("booking", {"people": 2, "who": "x"})
    assert not telling.done()
    play.event(messages.Reply(emit.request))
    await telling
    await play.finished()


@virtual_time
async def test_an_event_that_cannot_be_told_is_the_agents_error() -> None:
    play = await (Live(clerk(Model("x"))) >> STREAM)
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(RequestError, match="no JSON"):
        await play.call.emit("booking", {"list": endless})
    telling = asyncio.ensure_future(play.call.emit("call.ended"))
    await settled()
    (emit,) = play.told(messages.Emit)
    play.event(messages.Failure(emit.request, "event", "no dots"))
    with pytest.raises(RequestError, match="no dots"):
        await telling
    await play.finished()


@virtual_time
async def test_an_event_is_told_when_the_call_is_over_and_nothing_else_is() -> None:
    play = await (Live(clerk(Model("x"))) >> STREAM)
    telling = asyncio.ensure_future(play.call.emit("early"))
    hanging = asyncio.ensure_future(play.call.start_recording())
    await settled()
    play.event(OVER)
    await settled()
    with pytest.raises(CallOverError):
        await hanging
    assert not telling.done()
    late = asyncio.ensure_future(play.call.emit("late"))
    await settled()
    for emit in play.told(messages.Emit):
        play.event(messages.Reply(emit.request))
    await asyncio.gather(telling, late)
    await play.living
