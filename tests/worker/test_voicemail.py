"""What an agent does when an answering machine has answered."""

from typing import Any

import pytest

from shared import messages
from tests.virtual_time import virtual_time
from tests.worker.conversing import Live, clerk
from tests.worker.playbook import STREAM, After
from tests.worker.scripted_llm import Model
from worker.agent import Agent
from worker.instructions import InstructionsError
from worker.voicemail import Course, course, fault

LONG = "Hello, this is Ada of Bella Vista, and I am calling about the table that you reserved."


@pytest.mark.parametrize(
    ("verdict", "hang_up", "message"),
    [
        ("human", Course.GO_ON, Course.GO_ON),
        ("unknown", Course.GO_ON, Course.GO_ON),
        ("other", Course.GO_ON, Course.GO_ON),
        ("machine_start", Course.HANG_UP, Course.HANG_UP),
        ("machine_end_beep", Course.HANG_UP, Course.LEAVE_MESSAGE),
        ("machine_end_silence", Course.HANG_UP, Course.LEAVE_MESSAGE),
        ("machine_end_other", Course.HANG_UP, Course.LEAVE_MESSAGE),
        ("fax", Course.HANG_UP, Course.HANG_UP),
    ],
)
def test_the_verdict_and_the_policy_decide(verdict: str, hang_up: Course, message: Course) -> None:
    assert course(verdict, "hang-up") is hang_up
    assert course(verdict, "message") is message
    assert course(verdict, "go-on") is Course.GO_ON


def _caller(**more: Any) -> type[Agent]:
    return clerk(Model("Yes."), greeting=LONG, **more)


@virtual_time
async def test_the_message_is_said_after_the_beep_uncut_and_the_call_is_over() -> None:
    agent = _caller(machine="message", voicemail="Please call back.")
    play = await (Live(agent) >> STREAM >> After(0.4))
    await (play >> messages.AnsweredBy("machine_end_beep") >> After(6))
    said = play.said("agent")
    assert said[-1] == "Please call back."
    assert len(said[0]) < len(LONG)  # the greeting was cut short
    assert any(isinstance(it, messages.HangUp) for it in play.wire.items)
    await play.finished()


@virtual_time
async def test_a_machine_is_hung_up_on_at_once() -> None:
    play = await (Live(_caller(machine="hang-up")) >> STREAM >> After(0.4))
    await (play >> messages.AnsweredBy("machine_start") >> After(0.1))
    assert any(isinstance(it, messages.HangUp) for it in play.wire.items)
    await play.finished()


@virtual_time
async def test_a_human_hears_the_greeting_to_its_end() -> None:
    agent = _caller(machine="message", voicemail="Please call back.")
    play = await (Live(agent) >> STREAM >> After(0.4))
    await (play >> messages.AnsweredBy("human") >> After(10))
    assert play.said("agent") == [LONG]
    await play.finished()


class _Mute(Agent):
    machine = "message"
    voicemail = "Please call back."


class _Wordless(Agent):
    machine = "message"


class _Odd(Agent):
    machine = "shout"  # type: ignore[assignment]


def test_a_policy_that_cannot_work_is_found_when_the_release_is_made() -> None:
    assert fault(Agent) == ""
    assert "voice" in fault(_Mute)
    assert "voicemail" in fault(_Wordless)
    assert "go-on, hang-up, message" in fault(_Odd)
    assert fault(_caller(machine="message", voicemail="Please call back.")) == ""
    with pytest.raises(InstructionsError):
        fault(_caller(voicemail="Hello {{ whoever }}"))
