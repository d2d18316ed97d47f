import pytest

from tests.worker.scripted_speech import Speech
from worker import Agent, tool
from worker.testing import ScriptedLLM, Talk, calls
from worker.testing.in_text import NoTextModelError, in_text


class Desk(Agent):
    """Talks by a model of speech."""

    speech = Speech()
    greeting = "Good evening."

    @tool
    def book(self, people: int) -> str:
        """Book."""
        self.state["people"] = people
        return "Booked."


class Both(Desk):
    """Has a model of text, too."""

    llm = ScriptedLLM("Yes.")


async def test_an_agent_that_talks_by_a_model_of_speech_can_be_tested_in_text() -> None:
    async with Talk(Desk, llm=ScriptedLLM(calls("book", people=2), "It is booked.")) as talk:
        talk.expect_said("good evening")
        await talk.say("a table for two")
        talk.expect_said("it is booked")
        assert talk.state == {"people": 2}


async def test_its_own_model_of_text_thinks_if_it_has_one() -> None:
    async with Talk(Both) as talk:
        await talk.say("are you open")
        talk.expect_said("yes")


async def test_without_any_model_of_text_it_is_said_what_to_do() -> None:
    with pytest.raises(NoTextModelError, match="give the class an llm"):
        async with Talk(Desk):
            pass


def test_the_class_in_text_is_made_once() -> None:
    assert in_text(Both, None) is in_text(Both, None)
    assert in_text(Agent, None) is Agent
