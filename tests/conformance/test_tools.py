"""Every house calls tools, moves through stages, transfers, and hangs up."""

import pytest

from phone.events import Ending, VerbBegun
from tests.conformance.house import Can
from tests.conformance.stage import Stage, side_by_side
from tests.e2e.cascade import MANAGER
from tests.fakes.openai_chat import Wants

pytestmark = pytest.mark.asyncio(loop_scope="package")


@side_by_side
async def test_it_calls_a_tool_and_answers_with_what_came_of_it(stage: Stage) -> None:
    stage.answers(
        {
            "book for four": ["One moment.", Wants("book", {"people": 4})],
            "Booked for 4.": "It is booked.",
        }
    )
    async with stage.caller("Clerk") as caller:
        await caller.hears("Good evening.")
        await caller.asks("book for four", "It is booked.")
        assert caller.listen()[2:] == ["One", "moment.", "It", "is", "booked."]
    assert (await caller.over())["agent_state"] == {"tables": [4]}
    assert ("book", "Booked for 4.") in stage.premises.script.returned


@side_by_side
async def test_wrong_arguments_go_back_to_the_model_and_never_reach_the_tool(
    stage: Stage,
) -> None:
    stage.answers(
        {
            "book for forty": [Wants("book", {"people": 40})],
            "Invalid parameters, book": "Twelve at most.",
            "then for three": [Wants("book", {"people": 3})],
            "Booked for 3.": "Done.",
        }
    )
    async with stage.caller("Clerk") as caller:
        await caller.hears("Good evening.")
        await caller.asks("book for forty", "Twelve at most.")
        await caller.asks("then for three", "Done.")
    assert (await caller.over())["agent_state"] == {"tables": [3]}


@side_by_side
async def test_a_tool_that_breaks_or_does_not_exist_is_an_answer_without_its_secrets(
    stage: Stage,
) -> None:
    stage.answers(
        {
            "break it": [Wants("fragile")],
            "An error occurred": "That failed.",
            "the weather": [Wants("weather")],
            "Unknown tool: weather": "I cannot tell.",
            "there is no tool weather": "I cannot tell.",
            "There is no such tool": "I cannot tell.",
        }
    )
    async with stage.caller("Clerk") as caller:
        await caller.hears("Good evening.")
        await caller.asks("break it", "That failed.")
        await caller.asks("the weather", "I cannot tell.")
    assert not any("nobody is to read" in text for _, text in stage.premises.script.returned)


@side_by_side
async def test_a_tool_that_is_too_slow_is_bridged_and_given_up(stage: Stage) -> None:
    stage.answers({"be slow": [Wants("slow")], "slow took longer": "No luck."})
    async with stage.caller("Clerk") as caller:
        await caller.hears("Good evening.")
        await caller.is_let_finish()
        await caller.says("be slow")
        if Can.FILL not in stage.house.cannot:
            await caller.hears("Let me see.")
        await caller.hears("No luck.")


@side_by_side
async def test_a_stage_has_instructions_and_tools_of_its_own(stage: Stage) -> None:
    stage.answers(
        {
            "good day": "Who is calling?",
            "i am ada": [Wants("verify", {"name": "Ada"})],
            "Confirmed.": "Hello Ada.",
            "for nine": "Anything else?",
            "that is all": [Wants("move_to_stage", {"stage": "summary"})],
            "The conversation is now": "One table.",
            "and then": "Nothing more.",
        }
    )
    async with stage.caller("Staged") as caller:
        await caller.hears("Good evening.")
        await caller.asks("good day", "Who is calling?")
        await caller.asks("i am ada", "Hello Ada.")
        await caller.asks("for nine", "Anything else?")
        if Can.STAGE_TOOLS not in stage.house.cannot:
            await caller.asks("that is all", "One table.")
            await caller.asks("and then", "Nothing more.")
    assert (await caller.over())["agent_state"] == {"name": "Ada"}
    first, second = stage.told("good day"), stage.told("for nine")
    assert "Ask for the name." in first.instructions
    assert "Take the booking." in second.instructions
    if Can.STAGE_TOOLS not in stage.house.cannot:
        assert set(first.tools) == {"verify"}
        assert set(second.tools) == {"note", "move_to_stage"}
        third = stage.told("and then")
        assert "Say what was agreed." in third.instructions
        assert not third.tools


@side_by_side
async def test_a_caller_is_transferred_to_a_named_destination_only(stage: Stage) -> None:
    stage.answers(
        {
            "the police": [Wants("transfer", {"to": "police"})],
            "Invalid parameters, transfer": "Whom do you want?",
            "the manager": ["Connecting you.", Wants("transfer", {"to": "manager"})],
        }
    )
    async with stage.caller("Clerk") as caller:
        await caller.hears("Good evening.")
        await caller.asks("the police", "Whom do you want?")
        await caller.asks("the manager", "Connecting you.")
        report = await caller.call.ended()
    assert next(it.detail for it in report.of(VerbBegun) if it.verb == "Dial") == MANAGER
    view = await caller.over()
    assert (view["reason"], view["exit"]) == ("transferred", "exit code 0")


@side_by_side
async def test_a_caller_whom_the_manager_does_not_take_is_back_in_the_conversation(
    stage: Stage,
) -> None:
    asks = Wants("transfer_warm", {"to": "manager", "summary": "Ada is unhappy."})
    stage.answers(
        {
            "your boss": ["You hear music now.", asks],
            "manager is busy": "The manager is busy.",
            "never mind": "Goodbye then.",
        }
    )
    async with stage.caller("Clerk") as caller:
        await caller.hears("Good evening.")
        before = await caller.view()
        await caller.asks("your boss", "You hear music now.")
        await caller.call.connected(2, 20)
        await caller.hears("The manager is busy.")
        await caller.asks("never mind", "Goodbye then.")
        assert (await caller.view())["pid"] == before["pid"]
        verbs = [it.verb for it in caller.call.events if isinstance(it, VerbBegun)]
        assert "REST" in verbs[verbs.index("Conference") : -1]


@side_by_side
async def test_it_hangs_up_once_its_last_words_were_heard(stage: Stage) -> None:
    stage.answers({"that was it": ["Goodbye, and thank you.", Wants("hang_up")]})
    async with stage.caller("Clerk") as caller:
        await caller.hears("Good evening.")
        await caller.asks("that was it", "Goodbye, and thank you.")
        assert (await caller.call.ended()).how is Ending.DOCUMENT
    view = await caller.over()
    assert (view["reason"], view["exit"]) == ("the agent hung up", "exit code 0")
    assert [line["text"] for line in view["lines"]][-1] == "Goodbye, and thank you."
