"""Reads what a request says: its query and its body, each into its type.

All that is wrong with them is raised as `ProblemError`, in a sentence that names the place.
"""

import asyncio
import re
from typing import Any

import msgspec
from starlette.requests import Request

from gateway.api.endpoint import Endpoint
from gateway.api.problems import ProblemError
from gateway.body import BodyError, whole_body

BODY_SECONDS = 15.0
"""What a body may take to arrive."""

LARGE_BODY = 32 * 1024
"""Bytes from which a body is decoded in a thread, beside the calls."""

_JSON = "application/json"
_PLACE = re.compile(r"`\$\.([^`.\[]+)[^`]*`$")
_REGEX = re.compile(r"Expected `str` matching regex .*(?= - at `)", re.DOTALL)


def read_query(request: Request, kind: type[Any]) -> Any:
    """Return the parameters."""
    pairs = request.query_params.multi_items()
    given = dict(pairs)
    if len(given) < len(pairs):
        raise ProblemError(400, "A parameter is given twice.")
    known = [field.encode_name for field in msgspec.structs.fields(kind)]
    unknown = sorted(given.keys() - set(known))
    if unknown:
        names = ", ".join(known) or "none"
        raise ProblemError(400, f"There is no parameter {unknown[0][:50]!r} here; known: {names}.")
    empty = next((name for name, value in given.items() if value.lower() == "null"), None)
    if empty is not None:
        raise ProblemError(400, f"A parameter is wrong: leave {empty} out if there is none.")
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ProblemError(400, f"A parameter is wrong: {_where(error, kind)}.") from error


async def read_body(request: Request, endpoint: Endpoint) -> Any:
    """Return the body, ``None`` where none is read."""
    if endpoint.body is None:
        return None
    try:
        data = await whole_body(request, endpoint.most_body, BODY_SECONDS)
    except BodyError as error:
        raise ProblemError(error.status, error.sentence) from None
    if not data and not endpoint.body_optional:
        raise ProblemError(400, "A body is missing: send JSON.")
    kind = request.headers.get("content-type", _JSON).partition(";")[0].strip().lower()
    if data and kind != _JSON:
        raise ProblemError(415, f"Send Content-Type: {_JSON} (with curl: --json).")
    try:
        if len(data) > LARGE_BODY:
            return await asyncio.to_thread(_decoded, data, endpoint.body)
        return _decoded(data or b"{}", endpoint.body)
    except msgspec.DecodeError as error:
        # What a type's own check refuses has the form that is described.
        status = 422 if isinstance(error.__cause__, ValueError) else 400
        sentence = _where(error, endpoint.body)
        raise ProblemError(status, f"The body is wrong: {sentence}.") from error
    except UnicodeDecodeError as error:
        raise ProblemError(400, "The body is wrong: it is not UTF-8.") from error
    except RecursionError as error:
        raise ProblemError(400, "The body is wrong: it is nested too deeply.") from error


def _decoded(data: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError:
        # JSON knows one kind of number, and some programs write 30 as 30.0.
        whole = _with_integers(msgspec.json.decode(data))
        return msgspec.convert(whole, kind)


def _with_integers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _with_integers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_integers(item) for item in value]
    return value


def _where(error: Exception, kind: Any) -> str:
    """Return msgspec's sentence, which names the place as ``$.field``, with what is wanted there.

    Instead of a regular expression, that is what the field's description says, if it has one.
    """
    text = str(error)
    wanted = _wanted(kind, text)
    if wanted and " matching regex " in text:
        text = _REGEX.sub(f"Expected {wanted[:1].lower()}{wanted[1:]}", text)
    elif wanted and text.startswith("Invalid enum value"):
        text += f"; known: {wanted}"
    return text.replace("`", "").replace(" - at $.", " at ").replace(" - at $", "")[:400]


def _wanted(kind: Any, text: str) -> str:
    """Return in words what the field of ``kind`` that ``text`` complains of is to be, if known."""
    place = _PLACE.search(text)
    if place is None or not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return ""
    described = msgspec.inspect.type_info(kind)
    assert isinstance(described, msgspec.inspect.StructType)
    field = next((it for it in described.fields if it.encode_name == place[1]), None)
    kinds = [field.type] if field is not None else []
    if kinds and isinstance(kinds[0], msgspec.inspect.UnionType):
        kinds = list(kinds[0].types)
    for outer in kinds:
        each = outer.item_type if isinstance(outer, msgspec.inspect.ListType) else outer
        if isinstance(each, msgspec.inspect.EnumType):
            return ", ".join(str(member.value) for member in each.cls)
        if isinstance(each, msgspec.inspect.LiteralType):
            return ", ".join(map(str, each.values))
        if isinstance(each, msgspec.inspect.Metadata):
            return str((each.extra_json_schema or {}).get("description", "")).rstrip(".")
    return ""
