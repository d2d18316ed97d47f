"""A tool of an agent's as ElevenLabs wants it set up: the JSON of a client tool. Pure.

ElevenLabs' agents know only tools that are set up there, and their schemas know no limits, no
formats and no choices but of texts: what is left out of the schema is said in the description, so
the model reads it all the same. Source: ElevenLabs, Agents, ``ClientToolConfig``.
"""

from collections.abc import Mapping
from math import ceil
from typing import Any

from worker.llm import ToolSpec

LONGEST_S = 120
"""The longest that ElevenLabs waits for a client tool, in seconds."""

_ON_ITS_WAY_S = 2
_LITERALS = ("string", "number", "integer", "boolean")
_SAID = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "{} characters or more",
    "maxLength": "{} characters or less",
    "minItems": "{} or more",
    "maxItems": "{} or less",
    "pattern": "matching {}",
    "format": "as {}",
    "const": "always {}",
    "default": "{} if left out",
}


def client_tool(spec: ToolSpec, limit_s: float) -> dict[str, Any]:
    """Return the configuration of a client tool that may take ``limit_s`` seconds.

    ElevenLabs waits a little longer: the answer that it took too long is to arrive, too.
    """
    return {
        "type": "client",
        "name": spec.name,
        "description": spec.description,
        "expects_response": True,
        "response_timeout_secs": min(LONGEST_S, ceil(limit_s) + _ON_ITS_WAY_S),
        "parameters": _object(spec.parameters),
    }


def _object(schema: Mapping[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties", {})
    return {
        "type": "object",
        "properties": {name: _property(name, each) for name, each in properties.items()},
        "required": list(schema.get("required", ())),
    }


def _property(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    options = [it for it in schema.get("anyOf", ()) if it.get("type") != "null"]
    if options:
        rest = {key: value for key, value in schema.items() if key != "anyOf"}
        return _property(name, {**options[0], **rest})
    description = _description(name, schema)
    match schema.get("type"):
        case "object":
            return {**_object(schema), "description": description}
        case "array":
            items = _property(name, schema.get("items", {}))
            return {"type": "array", "description": description, "items": items}
        case kind:
            found: dict[str, Any] = {
                "type": kind if kind in _LITERALS else "string",
                "description": description,
            }
            choices = schema.get("enum", ())
            if choices and all(isinstance(choice, str) for choice in choices):
                found["enum"] = list(choices)
            return found


def _description(name: str, schema: Mapping[str, Any]) -> str:
    said = [words.format(schema[key]) for key, words in _SAID.items() if key in schema]
    choices = schema.get("enum", ())
    if choices and not all(isinstance(choice, str) for choice in choices):
        said.append(f"one of {', '.join(map(str, choices))}")
    text = str(schema.get("description") or name.replace("_", " "))
    return f"{text} ({', '.join(said)})" if said else text
