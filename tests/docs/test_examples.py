"""The examples of the documentation, each held as a conversation."""

import importlib
import json
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from worker import Agent, Message
from worker.release import load
from worker.testing import ScriptedLLM, Talk, calls, says

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
FOLDERS = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())
OURS = ("minimal", "timestamped", "isolated", "restaurant", "clinic")
KEYS = ("DEEPGRAM_API_KEY", "OPENAI_API_KEY", "CARTESIA_API_KEY", "ELEVENLABS_API_KEY")


@pytest.fixture(autouse=True)
def _own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Calendars in a folder of the test's own; modules forgotten afterwards."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    for name in OURS:
        sys.modules.pop(name, None)


def example(folder: str, module: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import an example as a template does: from its folder, which is the working directory."""
    monkeypatch.chdir(EXAMPLES / folder)
    monkeypatch.syspath_prepend(str(EXAMPLES / folder))
    return importlib.import_module(module)


@pytest.mark.parametrize(
    ("folder", "agent"),
    [*((folder, None) for folder in FOLDERS), ("basics", "timestamped:Assistant")],
)
def test_each_folder_is_a_release_that_can_be_made_ready(
    folder: str, agent: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in KEYS:
        monkeypatch.setenv(key, "a-key")
    monkeypatch.chdir(EXAMPLES / folder)
    monkeypatch.syspath_prepend(str(EXAMPLES / folder))
    assert load("r1", EXAMPLES / folder, agent).agents


def test_the_basics_are_served_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in KEYS:
        monkeypatch.delenv(key, raising=False)
    monkeypatch.chdir(EXAMPLES / "basics")
    monkeypatch.syspath_prepend(str(EXAMPLES / "basics"))
    assert len(load("r1", EXAMPLES / "basics", None).agents) == 2


def test_the_readme_names_every_folder() -> None:
    text = (EXAMPLES / "README.md").read_text()
    assert all(f"`{folder}/" in text for folder in FOLDERS)


async def test_the_minimal_agent_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Talk(example("basics", "minimal", monkeypatch).Parrot) as talk:
        assert (await talk.say("hello")).text == "You said hello."


async def test_the_timestamped_agent_tells_its_model_when_each_turn_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agent = example("basics", "timestamped", monkeypatch).Assistant
    model = ScriptedLLM("It is sunny.", "Goodbye.")
    async with Talk(agent, llm=model) as talk:
        assert talk.greeting.startswith("Hi, my name is Alex.")
        await talk.say("How is the weather?")
        await talk.say("Thank you")
    lines = [it["content"] for it in talk.history.messages()]
    assert lines[0].startswith("Hi, my name is Alex.")
    assert lines[1].endswith("+00:00\nHow is the weather?")
    assert lines[2] == "It is sunny."
    assert lines[3].endswith("\nThank you")


async def test_the_isolated_agent_works_and_says_goodbye(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Talk(example("basics", "isolated", monkeypatch).Calculator) as talk:
        await talk.say("work")
        talk.expect_said("digits")
        await talk.say("goodbye")
        talk.expect_hung_up()


def _outcome(talk: Talk) -> str:
    """Return what the model was told of the last reply's only tool."""
    (use,) = talk.reply.tools
    return str(use.outcome)


def _next_open_day(calendar: Any, weekday: int) -> str:
    day = calendar.now().date() + timedelta(days=1)
    while day.weekday() != weekday:
        day += timedelta(days=1)
    return str(day)


async def test_the_restaurant_books_and_finds_the_booking_by_its_spelled_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    restaurant = example("restaurant", "restaurant", monkeypatch)
    friday = _next_open_day(restaurant.TABLES, 4)
    told = dict[str, Any]()

    def reads_code(prompt: Any) -> str:
        told.update(json.loads(prompt.items[-1].text))
        return f"Your code is {told['code_spelled']}."

    answers: Iterator[Any] = iter(
        (
            calls("free_slots", day=friday, places=4),
            "At half past seven I have a table.",
            calls("book", at=f"{friday}T19:30", name="Miller", places=4),
            reads_code,
            lambda _: calls("find_booking", code=told["code_spelled"]),
            "Yes, a table for four.",
            [says("Let me look."), calls("daily_specials"), calls("opening_hours")],
            "Sea bass, and we are open until eleven.",
            [says("One moment."), calls("transfer_call", reason="a party of thirty")],
        )
    )

    def answer(prompt: Any) -> Any:
        step = next(answers)
        return step(prompt) if callable(step) else step

    model = ScriptedLLM(answer)
    async with Talk(restaurant.Sofia, llm=model, destinations=("manager", "voicemail")) as talk:
        assert "Sofia" in talk.greeting
        await talk.say("A table for four on Friday?")
        slots = talk.expect_tool("free_slots")
        assert "19:30" in str(slots.outcome)
        assert "22:30" not in str(slots.outcome), "a table takes two hours, and it closes at 23:00"
        await talk.say("Half past seven, Miller")
        talk.expect_tool("book", places=4)
        assert len(told["code"]) == 3
        await talk.say(f"Is {told['code_spelled']} booked?")
        assert "Miller" in str(talk.expect_tool("find_booking").outcome)
        await talk.say("What are the specials, and when do you close?")
        assert "sea bass" in str(talk.expect_tool("daily_specials").outcome)
        assert "open_now" in str(talk.expect_tool("opening_hours").outcome)
        await talk.say("We are thirty people")
        talk.expect_tool("transfer_call", reason="a party of thirty")
        assert talk.reply.transferred_to in ("manager", "voicemail")
        assert talk.state["transfer_reason"] == "a party of thirty"


async def test_the_restaurant_refuses_the_past_too_many_and_an_unknown_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    restaurant = example("restaurant", "restaurant", monkeypatch)
    friday = _next_open_day(restaurant.TABLES, 4)
    model = ScriptedLLM(
        calls("free_slots", day="2020-01-03"),
        "That is past.",
        calls("book", at=f"{friday}T19:30", name="Miller", places=30),
        "That is too many for me.",
        calls("find_booking", code="Alpha Bravo Charlie"),
        "I cannot find that one.",
    )
    async with Talk(restaurant.Sofia, llm=model) as talk:
        await talk.say("For last Friday, please")
        assert "past" in _outcome(talk)
        await talk.say("For thirty")
        assert _outcome(talk).startswith(("Not booked", "Invalid"))
        await talk.say("Alpha Bravo Charlie")
        assert "no booking with that code" in _outcome(talk)


async def test_the_clinic_verifies_answers_books_and_sums_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clinic = example("clinic", "clinic", monkeypatch)
    monday = _next_open_day(clinic.CALENDAR, 0)
    model = ScriptedLLM(
        calls("verify", name="Ada Lovelace", born="1900-01-01"),
        "I cannot find you. When were you born?",
        calls("verify", name="Ada Lovelace", born="1975-12-10"),
        "Thank you, Ada. How can I help?",
        calls("search_knowledge", query="parking"),
        "Behind the house, the first hour is free.",
        calls("free_slots", day=monday),
        "Monday at nine is free.",
        calls("book", at=f"{monday}T09:00", name="Ada Lovelace"),
        "It is booked. Anything else?",
        calls("move_to_stage", stage="summary"),
        [says("Monday at nine, then. Goodbye."), calls("hang_up")],
    )
    async with Talk(clinic.Reception, llm=model) as talk:
        assert talk.greeting == "Dental Help, this is Sara. Who am I speaking with?"
        talk.expect_stage("verify")
        await talk.say("Ada Lovelace")
        assert "Not confirmed" in _outcome(talk)
        assert set(model.tools) == {"verify", "transfer"}
        await talk.say("On the tenth of December 1975")
        talk.expect_stage("main")
        assert talk.state["patient"]["number"] == "P-1001"
        assert "Ada Lovelace" in model.instructions
        await talk.say("Where can I park?")
        assert "Parking is behind the house" in str(talk.expect_tool("search_knowledge").outcome)
        await talk.say("An appointment on Monday")
        assert "09:00" in str(talk.expect_tool("free_slots").outcome)
        await talk.say("Nine is fine")
        assert talk.expect_tool("book").label == "ok"
        await talk.say("No, that was all")
        talk.expect_stage("summary")
        talk.expect_said("Monday at nine")
        talk.expect_hung_up()


async def test_the_clinic_hands_over_to_billing(monkeypatch: pytest.MonkeyPatch) -> None:
    clinic = example("clinic", "clinic", monkeypatch)
    model = ScriptedLLM(
        calls("verify", name="Ada Lovelace", born="1975-12-10"),
        "Thank you, Ada.",
        calls("ask_billing"),
        "Which bill is it about?",
    )
    async with Talk(clinic.Reception, llm=model) as talk:
        await talk.say("Ada Lovelace, tenth of December 1975")
        await talk.say("It is about my bill")
        talk.expect_agent("Billing")
        talk.expect_said("This is Billing", "Which bill")
        assert set(model.tools) == {"transfer", "hang_up"}
        assert talk.state["patient"]["name"] == "Ada Lovelace"


def test_an_unclear_utterance_asks_no_model() -> None:
    """An agent with a model ignores what was not understood; silence has its own manners."""
    agent = type("Quiet", (Agent,), {"llm": ScriptedLLM()})()
    coroutine = agent.inference(Message(uuid4(), ""))
    with pytest.raises(StopIteration):
        coroutine.send(None)
