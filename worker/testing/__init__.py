"""A test kit for those who write agents: a call in text, and a model with a script.

    from worker.testing import ScriptedLLM, Talk, calls, says

    async def test_a_table_is_booked() -> None:
        model = ScriptedLLM([says("One moment."), calls("book", people=4)], "It is booked.")
        async with Talk(Receptionist, llm=model) as talk:
            await talk.say("A table for four")
            talk.expect_tool("book", people=4)
            talk.expect_said("booked")

Works in pytest-asyncio and in ``asyncio.run``; without a key if the model is scripted.
"""

from worker.testing.expectations import ExpectationError
from worker.testing.reply import Reply, ToolUse
from worker.testing.script import ScriptedLLM, ScriptError, calls, fails, says
from worker.testing.talk import Talk, TalkOverError
from worker.testing.waiting import TalkTimeoutError

__all__ = [
    "ExpectationError",
    "Reply",
    "ScriptError",
    "ScriptedLLM",
    "Talk",
    "TalkOverError",
    "TalkTimeoutError",
    "ToolUse",
    "calls",
    "fails",
    "says",
]
