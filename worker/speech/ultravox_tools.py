"""Tools as Ultravox is told of them: temporary ones, made for a call or a stage of it.

Each parameter of the tool's JSON schema becomes a dynamic parameter, one the model fills in. Who
runs the tool (the client on the socket, an HTTP server) is said by the caller of `temporary_tool`.
Source of the shapes: Ultravox' OpenAPI document, ``SelectedTool`` and ``BaseToolDefinition``.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from worker.llm import ToolSpec
from worker.speech import Brief

if TYPE_CHECKING:
    from worker.speech.ultravox import Ultravox

MOST_TOOL_SECONDS = 40.0
"""Longest that a tool may take there; the conversation stands still meanwhile."""

LIMIT_SECONDS = 15.0
"""How long a tool may take that has no limit of its own."""

_MARGIN_SECONDS = 1.0
"""What the call's own limit is given to be told of before Ultravox strikes."""

_DEEPEST = 12

Implementation = Callable[[ToolSpec], Mapping[str, Any]]
"""Who runs a tool, as further fields of its definition: ``{"client": {}}``, ``{"http": ...}``."""


def by_client(spec: ToolSpec) -> Mapping[str, Any]:
    """Have a tool run by whoever is on the socket."""
    del spec
    return {"client": {}}


def tool_seconds(brief: Brief, name: str) -> float:
    """Return how long Ultravox is to wait for a tool, in seconds."""
    return min(brief.limits_s.get(name, LIMIT_SECONDS) + _MARGIN_SECONDS, MOST_TOOL_SECONDS)


def selected_tools(
    settings: "Ultravox", brief: Brief, implementation: Implementation = by_client
) -> list[dict[str, Any]]:
    """Return ``selectedTools``: those of the brief, and those that Ultravox brings along."""
    tools = [
        temporary_tool(spec, tool_seconds(brief, spec.name), implementation) for spec in brief.tools
    ]
    ours = {spec.name for spec in brief.tools}
    tools += [{"toolName": name} for name in settings.builtin_tools if name not in ours]
    if settings.corpus_id is not None:
        overrides: dict[str, Any] = {
            "corpus_id": settings.corpus_id,
            "max_results": settings.corpus_results,
        }
        if settings.corpus_score is not None:
            overrides["minimum_score"] = settings.corpus_score
        tools.append({"toolName": "queryCorpus", "parameterOverrides": overrides})
    return tools


def temporary_tool(
    spec: ToolSpec, seconds: float, implementation: Implementation = by_client
) -> dict[str, Any]:
    """Return one of ``selectedTools``; what ``implementation`` says wins."""
    schema = spec.parameters
    required = schema.get("required", ())
    parameters = [
        {
            "name": name,
            "location": "PARAMETER_LOCATION_BODY",
            "schema": whole(told, schema.get("$defs", {})),
            "required": name in required,
        }
        for name, told in schema.get("properties", {}).items()
    ]
    tool: dict[str, Any] = {
        "modelToolName": spec.name,
        "description": spec.description,
        "timeout": duration(seconds),
    }
    if parameters:
        tool["dynamicParameters"] = parameters
    return {"temporaryTool": tool | dict(implementation(spec))}


def duration(seconds: float) -> str:
    """Return seconds as Ultravox writes them: ``0.384s``."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"


def whole(schema: Any, definitions: Mapping[str, Any], depth: int = 0) -> Any:
    """Return a JSON schema with what it refers to put in place; a parameter's stands alone there.

    One that contains itself is cut off where it does so for the twelfth time: there is anything.
    """
    if isinstance(schema, list | tuple):
        return [whole(part, definitions, depth) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    if depth > _DEEPEST:
        return {}
    name = schema.get("$ref")
    if isinstance(name, str):
        target = definitions.get(name.rpartition("/")[2], {})
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        found = whole(target, definitions, depth + 1)
        return {**found, **whole(beside, definitions, depth)} if isinstance(found, dict) else found
    return {
        key: whole(value, definitions, depth + 1) for key, value in schema.items() if key != "$defs"
    }
