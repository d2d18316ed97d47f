import json

import pytest

from worker.errors import ProviderError, ProviderLostError
from worker.llm import Answer, Call, Prompt, Said, Text, ToolSpec, Usage
from worker.testing import ScriptedLLM, ScriptError, calls, fails, says
from worker.testing.script import Calls

ASKED = Prompt((Said("system", "Be kind."), Said("user", "hello")), (ToolSpec("book", "", {}),))


async def answer(model: ScriptedLLM, prompt: Prompt = ASKED) -> list[Answer]:
    session = await model.connect()
    return [each async for each in session.reply(prompt)]


@pytest.mark.parametrize("text", ["One, two.", "", "  a\n\nb ", "こんにちは", "a" * 300])
async def test_words_are_streamed_and_make_the_text_exactly(text: str) -> None:
    pieces = await answer(ScriptedLLM(says(text)))
    assert "".join(it.delta for it in pieces if isinstance(it, Text)) == text
    assert isinstance(pieces[-1], Usage)


async def test_calls_have_ids_of_their_own_and_arguments_in_json() -> None:
    model = ScriptedLLM([calls("book", people=4), calls("book")], calls("book", name="x"))
    made = [it for _ in range(2) for it in await answer(model) if isinstance(it, Call)]
    assert len({call.id for call in made}) == 3
    assert [json.loads(call.arguments) for call in made] == [{"people": 4}, {}, {"name": "x"}]


async def test_arguments_may_be_written_as_badly_as_models_do() -> None:
    (call, _) = await answer(ScriptedLLM(Calls("book", '{"people": ')))
    assert isinstance(call, Call)
    assert call.arguments == '{"people": '


async def test_a_failure_is_a_providers_or_any_other() -> None:
    model = ScriptedLLM(fails("too busy"), fails(error=ProviderError("x", "y")))
    with pytest.raises(ProviderLostError, match="too busy"):
        await answer(model)
    with pytest.raises(ProviderError, match="x: y"):
        await answer(model)


async def test_it_knows_what_it_was_told_and_how_much_is_left() -> None:
    model = ScriptedLLM("a", "b")
    assert (model.instructions, model.tools, model.left) == ("", (), 2)
    await answer(model)
    assert (model.instructions, model.tools, model.left) == ("Be kind.", ("book",), 1)
    assert model.prompts == [ASKED]


async def test_the_end_of_the_script_names_what_was_asked() -> None:
    with pytest.raises(ScriptError, match='after user "hello": add an answer'):
        await answer(ScriptedLLM())


async def test_answers_and_a_function_are_not_mixed() -> None:
    with pytest.raises(ValueError, match="not both"):
        ScriptedLLM("a", lambda prompt: "b")
