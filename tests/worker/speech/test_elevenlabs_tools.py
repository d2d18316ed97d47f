"""Tools as ElevenLabs wants them set up."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from worker import Agent, tool
from worker.llm import ToolSpec
from worker.speech.elevenlabs_tools import client_tool
from worker.tools.toolbox import tools_of


class Host(Agent):
    """Books."""

    @tool
    async def book_table(
        self,
        people: Annotated[int, Field(ge=1, le=12)],
        at: datetime,
        place: Literal["inside", "outside"] = "inside",
        wishes: list[str] | None = None,
    ) -> str:
        """Book a table.

        Args:
            at: When they come.
        """
        return f"{people} {at} {place} {wishes}"


def only_known(schema: Any) -> bool:
    if isinstance(schema, dict):
        known = {"type", "description", "properties", "required", "items", "enum"}
        properties = schema.get("properties", {})
        inner = [*properties.values(), *([schema["items"]] if "items" in schema else [])]
        return set(schema) <= known and all(map(only_known, inner))
    return False


def test_an_agents_tool_is_told_in_elevenlabs_own_terms() -> None:
    (spec,) = tools_of(Host).specs
    told = client_tool(spec, 7.6)
    parameters = told.pop("parameters")
    assert told == {
        "type": "client",
        "name": "book_table",
        "description": "Book a table.",
        "expects_response": True,
        "response_timeout_secs": 10,
    }
    assert only_known(parameters)
    assert parameters["required"] == ["people", "at"]
    properties = parameters["properties"]
    assert properties["people"] == {
        "type": "integer",
        "description": "people (at least 1, at most 12)",
    }
    assert properties["at"]["description"].startswith("When they come.")
    assert properties["place"]["enum"] == ["inside", "outside"]
    assert properties["wishes"]["items"]["type"] == "string"


def test_what_elevenlabs_has_no_word_for_is_in_the_description() -> None:
    schema = {
        "type": "object",
        "properties": {
            "size": {"enum": [1, 2]},
            "who": {"type": "object", "properties": {"name": {"type": "string"}}},
            "note": {"anyOf": [{"type": "null"}, {"type": "string", "maxLength": 9}]},
        },
    }
    told = client_tool(ToolSpec("x", "", schema), 900)
    assert told["response_timeout_secs"] == 120
    assert only_known(told["parameters"])
    properties = told["parameters"]["properties"]
    assert properties["size"]["description"] == "size (one of 1, 2)"
    assert properties["who"]["properties"]["name"]["type"] == "string"
    assert properties["note"] == {"type": "string", "description": "note (9 characters or less)"}
