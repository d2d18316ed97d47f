"""A tool of the fake Ultravox, called over HTTP as the service does it.

Parameters go where their definition says; what the model, the definition and the service know is
put together. Source: Ultravox' documentation, "Tool Parameters" and "HTTP vs. Client Tools".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from aiohttp import ClientError, ClientSession, ClientTimeout

from tests.fakes.ultravox_checks import seconds

DEFAULT_TIMEOUT_S = 2.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a tool came to. ``error`` is not for the model, which reads ``text``."""

    text: str
    response_type: str = "tool-response"
    reaction: str = ""
    error: str = ""


TIMED_OUT = Outcome("The tool timed out.", error="timeout")
FAILED = "The tool failed."


def timeout_of(tool: Mapping[str, Any]) -> float:
    """Return how long a tool may take, in seconds."""
    return seconds(tool["timeout"]) if "timeout" in tool else DEFAULT_TIMEOUT_S


async def call_http(
    http: ClientSession,
    tool: Mapping[str, Any],
    arguments: Mapping[str, Any],
    known: Mapping[str, Any],
    overrides: Mapping[str, Any],
) -> Outcome:
    """Call a tool by its definition; ``known`` are the values of automatic parameters."""
    places: dict[str, dict[str, Any]] = {"QUERY": {}, "PATH": {}, "HEADER": {}, "BODY": {}}

    def put(parameter: Mapping[str, Any], value: Any) -> None:
        place = parameter["location"].removeprefix("PARAMETER_LOCATION_")
        places[place][parameter["name"]] = value

    for parameter in tool.get("dynamicParameters", ()):
        name = parameter["name"]
        if name in overrides or name in arguments:
            put(parameter, overrides.get(name, arguments.get(name)))
    for parameter in tool.get("staticParameters", ()):
        put(parameter, overrides.get(parameter["name"], parameter["value"]))
    for parameter in tool.get("automaticParameters", ()):
        put(parameter, known[parameter["knownValue"]])
    url = tool["http"]["baseUrlPattern"]
    for name, value in places["PATH"].items():
        url = url.replace(f"{{{name}}}", quote(str(value), safe=""))
    method = tool["http"]["httpMethod"].upper()
    try:
        async with http.request(
            method,
            url,
            params={name: str(value) for name, value in places["QUERY"].items()},
            headers={name: str(value) for name, value in places["HEADER"].items()},
            json=None if method == "GET" else places["BODY"],
            timeout=ClientTimeout(timeout_of(tool)),
        ) as answer:
            text = await answer.text()
            if answer.status >= 400:
                return Outcome(text or FAILED, error=f"HTTP {answer.status}")
            return Outcome(
                text,
                answer.headers.get("X-Ultravox-Response-Type", "tool-response"),
                answer.headers.get("X-Ultravox-Agent-Reaction", ""),
            )
    except TimeoutError:
        return TIMED_OUT
    except ClientError as error:
        return Outcome(FAILED, error=type(error).__name__)
