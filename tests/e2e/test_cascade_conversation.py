"""Whole conversations, from the greeting to the last words, with everything an agent can do."""

from collections.abc import AsyncIterator
from operator import lt
from typing import Any

import pytest
import pytest_asyncio

from phone.events import Cleared, Ending, VerbBegun
from shared.turn_stages import Stage
from tests.e2e.cascade import MANAGER, Caller, Cascade, answers, cascade, together
from tests.e2e.hosts import NUMBERS, SOURCES
from tests.fakes.openai_chat import Wants
from tests.harness import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

REPLIED = (
    Stage.STT_FINAL,
    Stage.MODEL_ASKED,
    Stage.FIRST_TOKEN,
    Stage.FIRST_CLAUSE,
    Stage.FIRST_AUDIO,
    Stage.FIRST_SENT,
    Stage.FIRST_HEARD,
)
"""The stages of a turn that was answered, in their order."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cascade]:
    """One gateway with an agent of each kind, by number."""
    async with cascade(tmp_path_factory.mktemp("talk"), SOURCES) as stage:
        yield stage


# Ten turns -----------------------------------------------------------------------------------

EVENING = answers(
    {
        "good evening": "Who is calling?",
        "ada": [Wants("verify", {"name": "Ada"})],
        "Confirmed.": "Hello Ada.",
        "are dogs welcome": [Wants("search_knowledge", {"query": "dogs"})],
        "[": "In the garden.",
        "a table for forty": [Wants("book", {"people": 40})],
        "Invalid parameters": "Twelve at most.",
        "then for four": ["One moment.", Wants("book", {"people": 4})],
        "Booked for 4.": "It is booked.",
        "how is the weather": [Wants("weather")],
        "Unknown tool: weather": "I cannot tell.",
        "break it": [Wants("fragile")],
        "An error occurred": "That failed.",
        "be slow": [Wants("slow")],
        "slow took longer": "No luck.",
        "two more": [Wants("book", {"people": 2}), Wants("book", {"people": 3})],
        "Booked for 3.": "Both are booked.",
        "that is all": [Wants("move_to_stage", {"stage": "summary"})],
        "The conversation is now": "Three tables.",
        "goodbye": ["Goodbye, Ada.", Wants("hang_up")],
    }
)
SPOKEN = (
    ("good evening", "Who is calling?"),
    ("ada", "Hello Ada."),
    ("are dogs welcome", "In the garden."),
    ("a table for forty", "Twelve at most."),
    ("then for four", "One moment. It is booked."),
    ("how is the weather", "I cannot tell."),
    ("break it", "That failed."),
    ("be slow", "Let me see. No luck."),
    ("two more", "Both are booked."),
    ("that is all", "To sum up. Three tables."),
    ("goodbye", "Goodbye, Ada."),
)


async def test_ten_turns_with_tools_stages_and_knowledge_until_the_model_hangs_up(
    stage: Cascade,
) -> None:
    stage.openai.replies = EVENING
    async with stage.caller(NUMBERS["Host"]) as caller:
        await caller.hears("Bella Vista, good evening.")
        for said, reply in SPOKEN:
            await caller.asks(said, reply)
        report = await caller.call.ended()
    assert report.how is Ending.DOCUMENT
    view = await caller.over()
    _check_transcript(view)
    _check_model(stage)
    assert view["agent_state"] == {
        "name": "Ada",
        "tables": [4, 2, 3],
        "turns": len(SPOKEN),
        "called": [
            *("verify", "search_knowledge", "book", "book", "weather", "fragile", "slow"),
            *("book", "book", "move_to_stage", "hang_up"),
        ],
    }
    _check_times(view)
    await _check_figures(stage, caller)


def _check_transcript(view: dict[str, Any]) -> None:
    assert [line["text"] for line in view["lines"] if line["role"] == "caller"] == [
        said for said, _ in SPOKEN
    ]
    spoken = " ".join(line["text"] for line in view["lines"] if line["role"] == "agent")
    assert sorted(spoken.split()) == sorted(
        " ".join(["Bella Vista, good evening.", *(reply for _, reply in SPOKEN)]).split()
    )
    assert not any(line["interrupted"] for line in view["lines"])


def _check_model(stage: Cascade) -> None:
    """What the model was told: who it is, where it is, and what has become of its tools."""
    told = [chat.body for chat in stage.openai.chats]
    by_line = {body["messages"][-1]["content"]: body for body in told}
    first = by_line["good evening"]
    assert first["messages"][0]["content"].splitlines() == [
        "You are the host; +15550002222 is calling.",
        "",
        "Ask for the name.",
    ]
    assert _tools(first) == ["verify"]
    assert _tools(by_line["Confirmed."]) == [
        *("book", "fragile", "slow", "search_knowledge", "transfer", "move_to_stage"),
    ]
    assert (
        "Dogs are welcome in the garden."
        in stage.history(told.index(by_line["a table for forty"]))[-3][1]
    )
    last = by_line["goodbye"]
    assert _tools(last) == ["hang_up"]
    assert last["messages"][0]["content"].endswith("Say what was agreed.")
    assert "ada" not in [message.get("content") for message in last["messages"]]
    spoken = "".join(request.get("text", "") for request in stage.elevenlabs.requests)
    assert " ".join(spoken.split()) == "To sum up. Three tables. Goodbye, Ada."
    assert not any("nobody is to read this" in str(body) for body in told)


def _tools(body: dict[str, Any]) -> list[str]:
    return [tool["function"]["name"] for tool in body.get("tools", ())]


def _check_times(view: dict[str, Any]) -> None:
    turns = view["turns"]
    assert [turn["number"] for turn in turns] == list(range(len(SPOKEN) + 1))
    for turn, (said, _) in zip(turns[1:], SPOKEN, strict=True):
        at = [turn["stages"][each] for each in REPLIED]
        # A filler, and what a stage says, is spoken before the model has a word to say.
        assert at == sorted(at) or said in ("be slow", "that is all"), turn
        assert turn["stages"][Stage.CALLER_STOPPED] <= at[0]
        assert turn["reply_ms"] > 0
        assert turn["own_ms"] >= 0
    begun = [turn["stages"][Stage.FIRST_SENT] for turn in turns]
    assert begun == sorted(begun)


async def _check_figures(stage: Cascade, caller: Caller) -> None:
    shown = await stage.show(caller.sid)
    head = next(line for line in shown.splitlines() if line.startswith("turn "))
    columns = [str(each).replace("_", " ") for each in (Stage.CALLER_STOPPED, *REPLIED)]
    places = [head.index(name) for name in columns]
    assert places == sorted(places)
    assert "Three tables." in shown
    assert "'tables': [4, 2, 3]" in shown
    figures = await stage.metrics()
    assert f"callfarm_reply_seconds_count {len(SPOKEN)}.0" in figures
    for outcome in ("book.ok", "book.invalid", "fragile.error", "slow.timeout"):
        assert f'callfarm_agent_count{{name="tool.{outcome}"}}' in figures
    assert 'callfarm_agent_count{name="llm.prompt_tokens"}' in figures


# The line ------------------------------------------------------------------------------------


async def test_a_transfer_to_a_named_destination_is_announced_and_then_dialled(
    stage: Cascade,
) -> None:
    stage.openai.replies = answers(
        {
            "ada": [Wants("verify", {"name": "Ada"})],
            "Confirmed.": "Hello.",
            "somebody else": [Wants("transfer", {"to": "police"})],
            "Invalid parameters": "Whom do you want?",
            "the manager": ["Connecting you.", Wants("transfer", {"to": "manager"})],
        }
    )
    async with stage.caller(NUMBERS["Host"]) as caller:
        await caller.hears("Bella Vista, good evening.")
        await caller.asks("ada", "Hello.")
        await caller.asks("somebody else", "Whom do you want?")
        await caller.asks("the manager", "Connecting you.")
        await caller.call.seen(VerbBegun, 3, timeout=5)
        report = await caller.call.ended()
    assert next(verb.detail for verb in report.of(VerbBegun) if verb.verb == "Dial") == MANAGER


async def test_keys_interrupt_and_are_the_callers_words(stage: Cascade) -> None:
    stage.openai.replies = answers(
        {
            "menu": "Press one for a very long story which goes on and on and on.",
            "(The caller pressed the keys 12.)": "Twelve.",
            "my number": [Wants("ask_number")],
            "They entered 407": "Four hundred and seven.",
        }
    )
    async with stage.caller(NUMBERS["Keypad"]) as caller:
        await caller.hears("Good evening.")
        await caller.asks("menu", "Press one")
        await caller.call.press("12")
        await caller.hears("Twelve.")
        assert "on." not in caller.words
        await caller.call.seen(Cleared, timeout=1)
        await caller.says("my number")
        await eventually(lambda: len(stage.openai.chats[-1].body["messages"]) > 1)
        await caller.call.wait(300)
        await caller.call.press("407#")
        await caller.hears("Four hundred and seven.")


async def test_tools_are_stopped_or_finished_when_the_caller_takes_the_floor(
    stage: Cascade,
) -> None:
    stage.openai.replies = answers(
        {
            "work": [Wants("read"), Wants("write")],
            "never mind": "As you like.",
            "and now": "Done.",
        }
    )
    async with stage.caller(NUMBERS["Busy"]) as caller:
        await caller.hears("Good evening.")
        before = len(stage.openai.chats)
        await caller.says("work")
        await stage.openai.until(lambda: len(stage.openai.chats) > before)
        await caller.call.wait(300)
        await caller.asks("never mind", "As you like.")
        assert _returned(stage) == [
            "read was stopped before it had a result.",
            "write is still running; its result will follow.",
        ]
        await caller.call.wait(1000)
        await caller.asks("and now", "Done.")
        assert _returned(stage)[1] == "It is written."
    assert (await caller.over())["agent_state"] == {"written": True}


async def test_a_colleague_takes_the_call_over_with_state_and_voice_of_its_own(
    stage: Cascade,
) -> None:
    stage.openai.replies = answers(
        {
            "the clerk please": [Wants("clerk")],
            "The clerk has taken over.": "How can I help?",
            "a stamp": "Here it is.",
        }
    )
    before = len(stage.elevenlabs.requests)
    async with stage.caller(NUMBERS["Busy"]) as caller:
        await caller.hears("Good evening.")
        await caller.asks("the clerk please", "The clerk speaking.")
        await caller.hears("How can I help?")
        await caller.asks("a stamp", "Here it is.")
        assert ("user", "the clerk please") in stage.history()
        assert stage.instructions() == "You are the clerk."
    assert (await caller.over())["agent_state"] == {"by": "busy"}
    requests = list(stage.elevenlabs.requests)[before:]
    assert "Here it is." in "".join(request.get("text", "") for request in requests)


def _returned(stage: Cascade) -> list[str]:
    """Return what the model was told of its calls, in its last request."""
    return [text for role, text in stage.history() if role == "tool"]


async def test_a_silent_caller_is_asked_and_then_left_and_a_long_one_warned(
    stage: Cascade,
) -> None:
    async def hears_all(kind: str, *spoken: str) -> None:
        async with stage.caller(NUMBERS[kind]) as caller:
            await caller.hears(" ".join(spoken))
            assert (await caller.call.ended()).how is Ending.DOCUMENT
        assert [text for _, text in await caller.lines()] == list(spoken)

    await together(
        lambda: hears_all("Quiet", "Good evening.", "Still there?", "Nobody there, goodbye."),
        lambda: hears_all("Brief", "Good evening.", "A second left.", "Time is up."),
    )


# Every ear and every voice ---------------------------------------------------------------------


TALK = [
    ("agent", "Good evening."),
    ("caller", "two of us"),
    ("agent", "For when?"),
    ("caller", "tomorrow evening"),
    ("agent", "See you then."),
]


async def test_every_ear_and_every_voice_holds_a_conversation(stage: Cascade) -> None:
    stage.openai.replies = answers({"two of us": "For when?", "tomorrow evening": "See you then."})

    async def talks(kind: str) -> None:
        async with stage.caller(NUMBERS[kind]) as caller:
            for at in range(1, len(TALK) + 1, 2):
                await caller.wrote_down(TALK[:at])
                if at < len(TALK):
                    await caller.says(TALK[at][1], ms_per_letter=40)
            turns = (await caller.view())["turns"]
        assert all(set(REPLIED) <= turn["stages"].keys() for turn in turns[1:]), kind
        if kind not in ("Aura", "Spoken"):  # whose speech has no words that can be read
            spoken = " ".join(text for who, text in TALK if who == "agent")
            assert caller.listen() == spoken.split(), kind
        if kind == "Flux":
            asked = [turn["stages"][Stage.MODEL_ASKED] for turn in turns[1:]]
            final = [turn["stages"][Stage.STT_FINAL] for turn in turns[1:]]
            assert all(map(lt, asked, final)), "the model is asked before the turn is certain"
        assert not (await caller.view())["troubles"], kind

    kinds = ("Desk", "Flux", "Transcribed", "Aura", "Spoken", "Eleven")
    await together(*(lambda kind=kind: talks(kind) for kind in kinds))
