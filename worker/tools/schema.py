"""A tool's parameters as JSON schema, and the check of what a model sends against it.

Built once, from type hints and docstring, by pydantic; small, since a model reads it with every
request: no titles, no references, no null where leaving a parameter out says the same. What does
not fit never reaches the function.
"""

import inspect
import operator
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import reduce
from types import UnionType
from typing import Annotated, Any, Literal, NoReturn, NotRequired, Union

import pydantic
from pydantic import BeforeValidator, ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, to_jsonable_python

# Pydantic itself needs this one before Python 3.12, and depends on it.
from typing_extensions import TypedDict

from worker.tools import docstring
from worker.tools.declare import ToolDeclarationError
from worker.tools.outcome import Invalid, Problem, short

MOST_ARGUMENTS = 64_000
"""Characters of arguments that are looked at."""

_MOST_PROBLEMS = 8
_TIMES = (
    date,
    datetime,
    time,
    pydantic.AwareDatetime,
    pydantic.NaiveDatetime,
    pydantic.FutureDatetime,
    pydantic.PastDatetime,
    pydantic.FutureDate,
    pydantic.PastDate,
)
# Types made at run time, which a type checker cannot follow.
_ANNOTATED: Any = Annotated
_TYPED_DICT: Any = TypedDict

_SAYS_NOTHING = {"description", "default", "examples", "deprecated"}


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of the tool ``name``; ``schema`` is the JSON schema of their object."""

    name: str
    schema: Mapping[str, Any]
    _adapter: TypeAdapter[dict[str, Any]]

    def parse(self, arguments: str) -> dict[str, Any] | Invalid:
        """Return the keyword arguments in JSON text, or what is wrong with them."""
        if len(arguments) > MOST_ARGUMENTS:
            reason = f"the arguments are longer than {MOST_ARGUMENTS} characters"
            return Invalid(self.name, (Problem("", reason),))
        text = arguments if arguments.strip() not in ("", "null") else "{}"
        try:
            return self._adapter.validate_json(text.encode("utf-8", "replace"))
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False)
            return Invalid(self.name, tuple(map(_problem, found[:_MOST_PROBLEMS])))


def parameters(name: str, hints: Mapping[str, tuple[Any, Mapping[str, Any]]]) -> Parameters:
    """Return the parameters of a tool, all required: each a type and what its ``Field`` says."""
    types = {
        parameter: _ANNOTATED[hint, pydantic.Field(**says)]
        for parameter, (hint, says) in hints.items()
    }
    return _build(name, name, types, {}, {})


def parameters_of(function: Callable[..., object], name: str, where: str) -> tuple[str, Parameters]:
    """Return a method's description and parameters. Raises `ToolDeclarationError`."""
    given = list(inspect.signature(function).parameters.values())[1:]
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError, SyntaxError) as error:
        raise ToolDeclarationError(
            where,
            f"has a type that cannot be looked up ({error})",
            "define it above the class, and not under TYPE_CHECKING",
        ) from error
    told = docstring.parse(function.__doc__ or "")
    for parameter in told.parameters.keys() - {each.name for each in given}:
        raise ToolDeclarationError(
            where,
            f"describes a parameter that it does not have, {parameter!r}",
            "correct its name in the docstring",
        )
    defaults = {each.name: each.default for each in given if each.default is not each.empty}
    types = {each.name: hints[each.name] for each in given}
    return told.text, _build(name, where, types, defaults, told.parameters)


def _build(
    name: str,
    where: str,
    types: dict[str, Any],
    defaults: dict[str, Any],
    descriptions: Mapping[str, str],
) -> Parameters:
    for parameter, default in defaults.items():
        if isinstance(default, FieldInfo):
            raise ToolDeclarationError(
                where,
                f"has a Field as the default of {parameter!r}",
                f"write {parameter}: Annotated[the type, Field(...)] = the default",
            )
    fields = {
        parameter: NotRequired[_of_text(hint)] if parameter in defaults else _of_text(hint)
        for parameter, hint in types.items()
    }
    shape = _TYPED_DICT("Arguments", fields)
    shape.__pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)
    try:
        adapter: TypeAdapter[dict[str, Any]] = TypeAdapter(
            _ANNOTATED[shape, BeforeValidator(_left_out(defaults))]
        )
        raw = adapter.json_schema()
    except (pydantic.PydanticUserError, TypeError, ValueError) as error:
        _blame(types, where, error)
    schema: dict[str, Any] = _compact(raw, raw.get("$defs", {}), frozenset(), where)
    for parameter, told in schema.setdefault("properties", {}).items():
        if not told.keys() - _SAYS_NOTHING:
            raise ToolDeclarationError(
                where, f"takes anything as {parameter!r}", "give it a type that says what"
            )
        schema["properties"][parameter] = _told(told, parameter, defaults, descriptions)
    return Parameters(name, schema, adapter)


def _blame(types: Mapping[str, Any], where: str, error: Exception) -> NoReturn:
    """Raise `ToolDeclarationError` about the parameter that pydantic cannot do."""
    for parameter, hint in types.items():
        try:
            TypeAdapter(hint).json_schema()
        except (pydantic.PydanticUserError, TypeError, ValueError):
            raise ToolDeclarationError(
                where,
                f"has a parameter of a type without JSON schema, {parameter!r}",
                "use text, numbers, dates, enums, lists, dictionaries or pydantic models",
            ) from error
    raise ToolDeclarationError(where, "has no JSON schema", str(error)) from error


def _left_out(defaults: Mapping[str, Any]) -> Callable[[Any], Any]:
    """Return a validator that takes null for a parameter with a default as leaving it out.

    Models write null for what they have nothing to say about, whether or not it is allowed.
    """
    optional = frozenset(defaults)

    def drop(given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {
            name: value
            for name, value in given.items()
            if value is not None or name not in optional
        }

    return drop


def _of_text(hint: Any) -> Any:
    """Return ``hint`` with dates and times that are accepted as text only.

    Pydantic takes numbers for seconds since 1970, so "at: 7" would be a moment of that year.
    """
    if isinstance(hint, type) and hint in _TIMES:
        return Annotated[hint, BeforeValidator(_is_iso)]
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is None or origin is Literal or not inner:
        return hint
    if origin is Annotated:
        return _ANNOTATED[(_of_text(inner[0]), *inner[1:])]
    changed = tuple(_of_text(each) for each in inner)
    if changed == inner:
        return hint
    return reduce(operator.or_, changed) if origin in (Union, UnionType) else origin[changed]


def _is_iso(value: Any) -> Any:
    if not isinstance(value, str) or value.strip().lstrip("+-").replace(".", "").isdigit():
        raise ValueError("write it in ISO 8601 (YYYY-MM-DDThh:mm, YYYY-MM-DD or hh:mm)")
    return value


def _compact(node: Any, definitions: Mapping[str, Any], open_: frozenset[str], where: str) -> Any:
    """Return a schema without titles and with its references filled in."""
    if isinstance(node, list):
        return [_compact(each, definitions, open_, where) for each in node]
    if not isinstance(node, dict):
        return node
    if reference := node.get("$ref"):
        name = str(reference).rpartition("/")[2]
        if name in open_:
            raise ToolDeclarationError(
                where, f"takes {name}, which contains itself", "give it a depth that ends"
            )
        beside = {key: value for key, value in node.items() if key != "$ref"}
        return _compact({**definitions[name], **beside}, definitions, open_ | {name}, where)
    result: dict[str, Any] = {}
    for key, value in node.items():
        if key in ("title", "$defs", "discriminator"):
            continue
        if key == "const":  # understood by fewer
            result["enum"] = [value]
            continue
        if key == "properties":
            result[key] = {
                name: _compact(each, definitions, open_, where) for name, each in value.items()
            }
        elif key in ("default", "enum", "examples", "description"):
            result[key] = value
        else:
            result[key] = _compact(value, definitions, open_, where)
    return result


def _told(
    schema: dict[str, Any],
    parameter: str,
    defaults: Mapping[str, Any],
    descriptions: Mapping[str, str],
) -> dict[str, Any]:
    """Return a property's schema with its description and default, without a needless null."""
    if parameter in defaults:
        schema = _without_null(schema)
        default = defaults[parameter]
        if default is not None:
            schema = {**schema, "default": to_jsonable_python(default, fallback=str)}
    text = descriptions.get(parameter)
    return {"description": text, **schema} if text and "description" not in schema else schema


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    choices = schema.get("anyOf")
    if not choices or {"type": "null"} not in choices:
        return schema
    left = [each for each in choices if each != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**left[0], **rest} if len(left) == 1 else {"anyOf": left, **rest}


def _problem(error: ErrorDetails) -> Problem:
    parameter = ".".join(map(str, error["loc"]))
    match error["type"]:
        case "missing":
            return Problem(parameter, "is missing", is_missing=True)
        case "extra_forbidden":
            return Problem(short(parameter), "there is no such parameter")
        case "json_invalid" | "dict_type" if not parameter:
            return Problem("", "the arguments must be one JSON object")
    reason = error["msg"].removeprefix("Value error, ").rstrip(".")
    reason = reason[:1].lower() + reason[1:]
    return Problem(short(parameter), f"{reason}, not {short(repr(error['input']))}")
