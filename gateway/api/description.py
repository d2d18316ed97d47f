"""The API described for programs: OpenAPI 3.1, made from the same table as the routes.

msgspec makes the schemas from the types that bodies and answers are made of. It refuses to know any
route: what is not in the table is not in the description.
"""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from gateway.api.endpoint import Endpoint, NoQuery, Shape
from gateway.api.problems import PROBLEM_TYPE, ProblemShown, problem
from gateway.api.repeats import MOST_KEY

VERSION = "1"
"""Of the API: raised when a client that did well before would no longer."""

_REF = "#/components/schemas/{name}"
_VARIABLE = re.compile(r"{(\w+)(?::\w+)?}")
_TEXT = """Calls, recordings, campaigns and releases of one callfarm.

Send `Authorization: Bearer TOKEN`. Times are Unix seconds, numbers E.164. Errors are problem
documents (RFC 9457). Routes tagged `replaced` answer as the systems that callfarm replaces."""


def description(tagged: Iterable[tuple[str, Endpoint]], server: str = "/") -> dict[str, Any]:
    """Return the document. ``tagged`` are the rows of the table with their sections' tags."""
    rows = list(tagged)
    schemas, components = _schemas(it for _, it in rows)
    paths: dict[str, dict[str, Any]] = {}
    for tag, it in rows:
        path = _VARIABLE.sub(r"{\1}", it.path)
        paths.setdefault(path, {})[it.method.lower()] = _operation(tag, it, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "callfarm", "version": VERSION, "description": _TEXT},
        "servers": [{"url": server}],
        "security": [{"bearer": []}, {"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
            "schemas": components,
        },
    }


_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A request that is sent again with its key does nothing twice.",
    "schema": {"type": "string", "maxLength": MOST_KEY},
}


def _schemas(endpoints: Iterable[Endpoint]) -> tuple[Mapping[Any, Any], dict[str, Any]]:
    """Return the schema of every type, and what they refer to."""
    kinds: dict[Any, None] = {ProblemShown: None}
    for it in endpoints:
        used = (it.query, it.body, it.answer, it.refused_as, *it.others.values())
        kinds |= dict.fromkeys(kind for kind in used if kind is not None)
    made, components = msgspec.json.schema_components(list(kinds), ref_template=_REF)
    return dict(zip(kinds, made, strict=True)), components


def _operation(tag: str, it: Endpoint, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{it.method.lower()}{re.sub(r'[^a-zA-Z0-9]+', '_', it.path)}".rstrip("_"),
        "tags": [tag],
        "summary": it.summary,
        "parameters": _parameters(it, schemas),
        "responses": _responses(it, schemas),
    }
    if it.scope is None:
        operation["security"] = []
    else:
        operation["description"] = f"Needs the scope `{it.scope.value}`."
        operation["x-scope"] = it.scope.value
    if it.body is not None:
        operation["requestBody"] = {
            "required": not it.body_optional,
            "content": {"application/json": {"schema": schemas[it.body]}},
        }
    return operation


def _parameters(it: Endpoint, schemas: Mapping[Any, Any]) -> list[dict[str, Any]]:
    found = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _VARIABLE.findall(it.path)
    ]
    if it.keyed:
        found.append(_KEY)
    if it.query is NoQuery:
        return found
    whole = msgspec.json.schema_components([it.query], ref_template=_REF)[1][it.query.__name__]
    return found + [
        {
            "name": name,
            "in": "query",
            "required": name in whole.get("required", ()),
            "schema": _without_null(schema),
        }
        for name, schema in whole["properties"].items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a parameter's schema: one that is not given is left out, and never null."""
    kept = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if not kept:
        return schema
    return kept[0] if len(kept) == 1 else {"anyOf": kept}


def _responses(it: Endpoint, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    success: dict[str, Any] = {"description": it.summary}
    if it.shape is Shape.JSON:
        success["content"] = {it.shape.value: {"schema": schemas.get(it.answer, {})}}
    elif it.shape is not Shape.NOTHING:
        success["content"] = {it.shape.value: {}}
    responses = {str(it.status): success}
    for status, kind in it.others.items():
        content = {"content": {"application/json": {"schema": schemas[kind]}}} if kind else {}
        responses[str(status)] = {"description": HTTPStatus(status).phrase, **content}
    for status in sorted({*_usual(it), *it.refusals}):
        responses[str(status)] = _refusal(it, status, schemas)
    return responses


def _usual(it: Endpoint) -> set[int]:
    statuses = {400, 429, 500, 503}
    if it.scope is not None:
        statuses |= {401, 403}
    if it.body is not None:
        statuses |= {408, 413, 415}
    if it.body is not None or it.query is not NoQuery:
        statuses.add(422)
    return statuses


def _refusal(it: Endpoint, status: int, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    own = it.refuse is not problem and it.refused_as is not None
    kind, media = (it.refused_as, "application/json") if own else (ProblemShown, PROBLEM_TYPE)
    return {
        "description": HTTPStatus(status).phrase,
        "content": {media: {"schema": schemas[kind]}},
    }
