import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, Field

from tests.worker.tools.host import Host
from worker.tools import ToolDeclarationError, tool, tools_of
from worker.tools.outcome import Invalid
from worker.tools.schema import MOST_ARGUMENTS, Parameters, parameters, parameters_of

EVENING = datetime.fromisoformat("2031-05-06T19:30")


class Area(Enum):
    INSIDE = "inside"
    TERRACE = "terrace"


class Guest(BaseModel):
    """Who comes."""

    name: str
    born: date | None = None


class Node(BaseModel):
    children: "list[Node]"


@dataclass
class Address:
    street: str


class Restaurant(Host):
    @tool
    async def book(
        self,
        people: Annotated[int, Field(ge=1, le=12, description="How many come.")],
        at: datetime,
        area: Area = Area.INSIDE,
        guests: list[Guest] | None = None,
        wish: str | None = None,
        seat: Literal["window", "corner"] | None = "window",
        title: str = "",
    ) -> str:
        """Book a table.

        Ask for everything
        before.

        Args:
            people: not taken, the Field says it.
            at (datetime): when they come,
                local time.
            wish: special wishes.

        Returns:
            A code.
        """
        return "ABC"


def schema_of(agent: type, name: str) -> dict[str, Any]:
    return dict(tools_of(agent)[name].spec.parameters)


def test_hints_and_docstring_become_a_compact_schema() -> None:
    assert schema_of(Restaurant, "book") == {
        "type": "object",
        "additionalProperties": False,
        "required": ["people", "at"],
        "properties": {
            "people": {
                "description": "How many come.",
                "maximum": 12,
                "minimum": 1,
                "type": "integer",
            },
            "at": {
                "description": "when they come, local time.",
                "format": "date-time",
                "type": "string",
            },
            "area": {"enum": ["inside", "terrace"], "type": "string", "default": "inside"},
            "guests": {
                "type": "array",
                "items": {
                    "description": "Who comes.",
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": {"type": "string"},
                        "born": {
                            "anyOf": [{"format": "date", "type": "string"}, {"type": "null"}],
                            "default": None,
                        },
                    },
                },
            },
            "wish": {"description": "special wishes.", "type": "string"},
            "seat": {"enum": ["window", "corner"], "type": "string", "default": "window"},
            "title": {"type": "string", "default": ""},
        },
    }


def test_the_description_is_the_docstring_without_its_sections() -> None:
    spec = tools_of(Restaurant)["book"].spec
    assert spec.description == "Book a table.\n\nAsk for everything before."


def book() -> Parameters:
    return parameters_of(Restaurant.book, "book", "Restaurant.book")[1]


def test_arguments_come_as_their_types_and_what_is_left_out_stays_so() -> None:
    assert book().parse('{"people": "3", "at": "2031-05-06T19:30", "area": "terrace"}') == {
        "people": 3,
        "at": EVENING,
        "area": Area.TERRACE,
    }
    guests = book().parse(
        '{"people": 1, "at": "2031-05-06T19:30:00+02:00", "guests": [{"name": "Ann"}]}'
    )
    assert isinstance(guests, dict)
    assert guests["guests"] == [Guest(name="Ann")]


def test_null_for_what_has_a_default_is_the_same_as_leaving_it_out() -> None:
    given = book().parse('{"people": 3, "at": "2031-05-06T19:30", "title": null, "wish": null}')
    assert given == {"people": 3, "at": EVENING}


@pytest.mark.parametrize("nothing", ["", "  \n", "null", "{}"])
def test_a_tool_without_parameters_takes_nothing_in_any_form(nothing: str) -> None:
    assert parameters("hang_up", {}).parse(nothing) == {}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("{}", "missing: people, at (ask the caller for what you do not know)"),
        ('{"at": "2031-05-06T19:30"}', "missing: people (ask"),
        (
            '{"people": 14, "at": "2031-05-06T19:30"}',
            "people: input should be less than or equal to 12, not 14",
        ),
        ('{"people": 2, "at": 7}', "at: write it in ISO 8601"),
        ('{"people": 2, "at": "1700000000"}', "at: write it in ISO 8601"),
        ('{"people": 2, "at": "tomorrow"}', "at: input should be a valid datetime"),
        ('{"people": 2, "at": "2031-05-06T19:30", "area": "roof"}', "area: input should be"),
        ('{"people": 2, "at": "2031-05-06T19:30", "colour": 1}', "colour: there is no such param"),
        (
            '{"people": 2, "at": "2031-05-06T19:30", "guests": [{"born": "2001-02-03"}]}',
            "missing: guests.0.name",
        ),
        ("[]", "the arguments must be one JSON object"),
        ('"people"', "the arguments must be one JSON object"),
        ("{people: 2}", "the arguments must be one JSON object"),
        ('{"people": 2', "the arguments must be one JSON object"),
        ("[" * 5000, "the arguments must be one JSON object"),
        ('{"people": NaN, "at": "2031-05-06T19:30"}', "people: input should be a finite number"),
        (" " * (MOST_ARGUMENTS + 1), "longer than 64000 characters"),
    ],
)
def test_what_is_wrong_is_said_by_parameter_so_that_the_model_can_correct_itself(
    arguments: str, sentence: str
) -> None:
    outcome = book().parse(arguments)
    assert isinstance(outcome, Invalid)
    assert outcome.sentence.startswith("Invalid parameters, book was not run. ")
    assert sentence in outcome.sentence


def test_all_problems_are_said_at_once_and_long_values_are_cut() -> None:
    outcome = book().parse(json.dumps({"people": "x" * 5000, "wish": 5, "title": []}))
    assert isinstance(outcome, Invalid)
    assert [each.parameter for each in outcome.problems] == ["people", "at", "wish", "title"]
    assert len(outcome.sentence) < 500


def test_times_of_all_kinds_are_taken_as_text_only() -> None:
    class Diary(Host):
        @tool
        async def note(
            self,
            day: date,
            hour: time | None = None,
            moments: Sequence[AwareDatetime] = (),
            later: Annotated[datetime | None, Field(description="Later.")] = None,
        ) -> None:
            """Note."""

    _, taken = parameters_of(Diary.note, "note", "Diary.note")
    assert taken.schema["properties"]["hour"] == {"format": "time", "type": "string"}
    good = taken.parse(
        '{"day": "2031-05-06", "hour": "19:30", "moments": ["2031-05-06T19:30Z"], "later": null}'
    )
    assert isinstance(good, dict)
    assert (good["day"], good["hour"]) == (date(2031, 5, 6), time(19, 30))
    for wrong in ('{"day": 3}', '{"day": "2031-05-06", "hour": 7}'):
        assert isinstance(taken.parse(wrong), Invalid)
    assert isinstance(taken.parse('{"day": "2031-05-06", "moments": [7]}'), Invalid)
    assert isinstance(taken.parse('{"day": "2031-05-06", "later": 7}'), Invalid)


def test_names_that_pydantic_uses_itself_may_be_parameters() -> None:
    class Odd(Host):
        @tool
        async def act(self, copy: str, schema: int, model_config: str = "", _x: int = 0) -> None:
            """Act."""

    assert list(schema_of(Odd, "act")["properties"]) == ["copy", "schema", "model_config", "_x"]


def test_a_docstring_in_sphinx_form_describes_parameters_too() -> None:
    class Post(Host):
        @tool
        async def send(self, to: Address, text: str, urgent: bool = False) -> None:
            """Send a letter.

            :param Address to: Where it
                goes.
            :param text: What it says.
            :type text: str
            :returns: Nothing.
            :raises ValueError: Never.
            """

    spec = tools_of(Post)["send"].spec
    properties = spec.parameters["properties"]
    assert spec.description == "Send a letter."
    assert properties["to"]["description"] == "Where it goes."
    assert properties["to"]["properties"] == {"street": {"type": "string"}}
    assert properties["text"] == {"description": "What it says.", "type": "string"}
    assert properties["urgent"] == {"default": False, "type": "boolean"}


def _unknown_type(self: Host, thing: object) -> None:
    """Act."""


def _any(self: Host, thing: Any) -> None:
    """Act."""


class Plain:
    pass


def _plain_class(self: Host, good: int, thing: Plain) -> None:
    """Act."""


def _recursive(self: Host, node: Node) -> None:
    """Act."""


def _undefined(self: Host, thing: "Nowhere") -> None:  # type: ignore[name-defined]  # noqa: F821
    """Act."""


def _field_default(self: Host, people: int = Field(ge=1, default=2)) -> None:
    """Act."""


def _wrong_name(self: Host, people: int) -> None:
    """Act.

    Args:
        poeple: how many.
    """


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (_unknown_type, "takes anything as 'thing': give it a type"),
        (_any, "takes anything as 'thing': give it a type"),
        (_plain_class, "type without JSON schema, 'thing': use text, numbers"),
        (_recursive, "takes Node, which contains itself"),
        (_undefined, r"'Nowhere' is not defined\): define it above the class"),
        (_field_default, "write people: Annotated"),
        (_wrong_name, "does not have, 'poeple': correct its name"),
    ],
)
def test_types_that_no_model_can_fill_are_refused(function: Any, sentence: str) -> None:
    with pytest.raises(ToolDeclarationError, match=sentence):
        parameters_of(function, "act", "Odd.act")


@given(st.text(st.characters(), max_size=200))
def test_no_text_raises(text: str) -> None:
    assert isinstance(book().parse(text), dict | Invalid)
