"""Every house greets, hears, answers, is interrupted, and minds keys and silence."""

import asyncio
import re

import pytest

from phone.events import Cleared, Ending
from shared.turn_stages import Stage as Moment
from tests.conformance.house import Can
from tests.conformance.stage import Stage, side_by_side
from tests.e2e.cascade import AGENT_MS

pytestmark = pytest.mark.asyncio(loop_scope="package")


@side_by_side
async def test_it_greets_first_and_word_for_word(stage: Stage) -> None:
    async with stage.caller("Desk") as caller:
        await caller.hears("Good evening.")
        assert caller.listen() == ["Good", "evening."]
        await caller.wrote_down([("agent", "Good evening.")])


@side_by_side
async def test_without_a_greeting_it_waits_for_the_caller(stage: Stage) -> None:
    stage.answers({"anybody in": "Yes, indeed."})
    async with stage.caller("Waiting") as caller:
        await caller.call.wait(900)
        assert caller.listen() == []
        await caller.says("anybody in")
        await caller.hears("Yes, indeed.")
        await caller.wrote_down([("caller", "anybody in"), ("agent", "Yes, indeed.")])


@side_by_side
async def test_it_understands_the_caller_and_answers_turn_after_turn(stage: Stage) -> None:
    talk = [
        ("agent", "Good evening."),
        ("caller", "a table for two"),
        ("agent", "For when would you like it?"),
        ("caller", "tomorrow at eight"),
        ("agent", "At eight, then."),
        ("caller", "thank you"),
        ("agent", "See you tomorrow."),
    ]
    said = [text for who, text in talk if who == "caller"]
    stage.answers({text: talk[at + 1][1] for at, (who, text) in enumerate(talk) if who == "caller"})
    async with stage.caller("Desk") as caller:
        for at in range(1, len(talk), 2):
            await caller.wrote_down(talk[:at])
            await caller.is_let_finish()
            await caller.says(talk[at][1])
        await caller.wrote_down(talk)
        spoken = " ".join(text for who, text in talk if who == "agent")
        assert caller.listen() == spoken.split()
        view = await caller.view()
    assert [line for line in stage.premises.script.heard if line in said] == said
    assert not view["troubles"]
    for turn in view["turns"][1:]:
        stages = turn["stages"]
        assert turn["reply_ms"] > 0, turn
        assert stages[Moment.FIRST_AUDIO] <= stages[Moment.FIRST_SENT], turn
        assert stages[Moment.FIRST_SENT] <= stages[Moment.FIRST_HEARD], turn


@side_by_side
async def test_the_model_knows_its_instructions(stage: Stage) -> None:
    stage.answers({"who are you": "The desk."})
    async with stage.caller("Desk") as caller:
        await caller.hears("Good evening.")
        await caller.asks("who are you", "The desk.")
    assert "You are the desk; +15550002222 is calling." in stage.told("who are you").instructions


# Interruptions -------------------------------------------------------------------------------

TALE = (
    "yes, there is one by the window. It is quiet and well lit, too, as you see. "
    "Nobody else has asked for it yet, and it is large enough for all of you."
)
LATE_MS = 150.0
"""How much is still heard until the carrier has cleared it, on a busy machine."""


def _bare(text: str) -> list[str]:
    return re.findall(r"[\w']+", text)


async def _cut(stage: Stage, offset: int) -> None:
    """Interrupt the tale at an offset, and see what is remembered of it."""
    ask, then = f"tell me {offset}", f"and what about {offset}"
    stage.answers({ask: TALE, then: f"Good {offset}."})
    async with stage.caller("Desk") as caller:
        await caller.hears("Good evening.")
        await caller.is_let_finish()
        await caller.says(ask)
        await caller.begins_to_hear("y")
        await caller.call.wait(offset)
        await caller.says(then)
        await caller.hears(f"Good {offset}.")
        await caller.call.seen(Cleared, timeout=5)
        lines = stage.lines(await caller.view())
        heard = [bare for word in caller.listen() for bare in _bare(word)]
    heard = heard[len(_bare("Good evening.")) : -len(_bare(f"Good {offset}."))]
    assert heard == _bare(TALE)[: len(heard)], "it goes on after it was cut"
    assert len(heard) < len(_bare(TALE)), "it was not cut"
    last = max(at for at, (who, _, _) in enumerate(lines) if who == "caller")
    who, text, was_cut = lines[last - 1]
    memories = {"written": text if who == "agent" else ""}
    if Can.RECALL not in stage.house.cannot:
        told = [spoken for spoken in stage.told(then).spoken if spoken.startswith("yes")]
        memories["remembered"] = told[-1] if told else ""
    for how, text in memories.items():
        _is_what_was_heard(stage, _bare(text), heard, f"{how} at {offset} ms, {lines}")
    assert was_cut or not memories["written"]


def _is_what_was_heard(stage: Stage, words: list[str], heard: list[str], where: str) -> None:
    why = f"{where}: {words}, heard: {heard}"
    assert words == _bare(TALE)[: len(words)], why
    if Can.BE_READ not in stage.house.cannot:
        forgotten = heard[len(words) :]
        late = len("".join(forgotten)) * AGENT_MS <= LATE_MS
        assert late or len(forgotten) <= stage.house.forgets, why
        assert len(words) - len(heard) <= stage.house.imagines, why


@side_by_side
async def test_what_is_written_and_remembered_of_a_cut_reply_is_what_was_heard(
    stage: Stage,
) -> None:
    async with asyncio.TaskGroup() as group:
        for offset in (0, 250, 600, 950):
            group.create_task(_cut(stage, offset))


@side_by_side
async def test_a_greeting_that_may_not_be_interrupted_is_heard_to_its_end(stage: Stage) -> None:
    stage.needs(Can.KEEP_GREETING)
    stage.answers({"hello you": "Welcome.", "what now": "As you like."})
    async with stage.caller("Stubborn") as caller:
        await caller.call.wait(150)
        await caller.says("hello you")
        await caller.hears("Listen to all of this first, because it is worth it.")
        assert not [event for event in caller.call.events if isinstance(event, Cleared)]
        await caller.call.wait(700)  # for an answer to what was said meanwhile
        await caller.asks("what now", "As you like.")


# Keys and silence ----------------------------------------------------------------------------


@side_by_side
async def test_keys_are_the_callers_words(stage: Stage) -> None:
    stage.answers({"(The caller pressed the keys 12.)": "Twelve it is."})
    async with stage.caller("Keypad") as caller:
        await caller.hears("Good evening.")
        await caller.is_let_finish()
        await caller.call.press("12")
        await caller.hears("Twelve it is.")


@side_by_side
async def test_a_silent_caller_is_asked_and_then_left(stage: Stage) -> None:
    async with stage.caller("Quiet") as caller:
        await caller.hears("Good evening.")
        await caller.hears("Still there? Nobody there, goodbye.")
        assert (await caller.call.ended()).how is Ending.DOCUMENT
