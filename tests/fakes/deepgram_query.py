"""What Deepgram refuses before a socket is open: keys, paths and query parameters.

The tables are those of the published AsyncAPI description, and of the SDK for /v1/speak.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

Check = Callable[[str], bool]
Query = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class RefusedError(Exception):
    """An HTTP answer in place of an upgrade."""

    status: int
    code: str
    message: str
    retry_after: str | None = None


def _one_of(*values: str) -> Check:
    return lambda value: value in values


def _number(least: float, most: float) -> Check:
    def check(value: str) -> bool:
        try:
            return least <= float(value) <= most
        except ValueError:
            return False

    return check


def _text(value: str) -> bool:
    return bool(value)


_BOOL = _one_of("true", "false")

_LISTEN_V1: dict[str, Check] = {
    "model": lambda model: model.startswith(("nova", "enhanced", "base")),
    "encoding": _one_of("linear16", "linear32", "flac", "alaw", "mulaw", "opus", "speex", "g729"),
    "sample_rate": _number(8000, 48000),
    "channels": _number(1, 20),
    "multichannel": _BOOL,
    "language": _text,
    "language_hint": _text,
    "interim_results": _BOOL,
    "endpointing": lambda value: value == "false" or value.isdigit(),
    "utterance_end_ms": _number(1000, 5000),
    "vad_events": _BOOL,
    "smart_format": _BOOL,
    "punctuate": _BOOL,
    "numerals": _BOOL,
    "profanity_filter": _BOOL,
    "dictation": _BOOL,
    "filler_words": _BOOL,
    "keyterm": _text,
    "keywords": _text,
    "redact": _text,
    "diarize_model": _one_of("latest", "v1"),
    "tag": _text,
    "mip_opt_out": _BOOL,
}

_LISTEN_V2: dict[str, Check] = {
    "model": _one_of("flux-general-en", "flux-general-multi"),
    "encoding": _one_of("linear16", "linear32", "mulaw", "alaw", "opus", "ogg-opus"),
    "sample_rate": _one_of("8000", "16000", "24000", "44100", "48000"),
    "eot_threshold": _number(0.5, 1.0),
    "eager_eot_threshold": _number(0.3, 0.9),
    "eot_timeout_ms": _number(500, 60_000),
    "keyterm": _text,
    "language_hint": _text,
    "numerals": _BOOL,
    "profanity_filter": _BOOL,
    "redact": _one_of("numbers", "aggressive_numbers"),
    "mip_opt_out": _BOOL,
    "tag": _text,
}

_SPEAK_V1: dict[str, Check] = {
    "model": lambda model: model.startswith("aura"),
    "encoding": _one_of("linear16", "mulaw", "alaw"),
    "sample_rate": _one_of("8000", "16000", "24000", "32000", "48000"),
    "container": _one_of("none"),
    "speed": _number(0.7, 1.5),
    "mip_opt_out": _BOOL,
}

_PATHS = {"/v1/listen": _LISTEN_V1, "/v2/listen": _LISTEN_V2, "/v1/speak": _SPEAK_V1}
_REPEATABLE = {"keyterm", "keywords", "language_hint", "tag", "redact"}


def check_request(target: str, authorization: str, key: str) -> tuple[str, Query]:
    """Return the path and the query of a good request. Raises `RefusedError`."""
    parts = urlsplit(target)
    if parts.path not in _PATHS:
        raise RefusedError(404, "NOT_FOUND", "The requested resource was not found.")
    if authorization != f"Token {key}":
        raise RefusedError(401, "INVALID_AUTH", "Invalid credentials.")
    query = parse_qs(parts.query, keep_blank_values=True)
    for name, values in query.items():
        check = _PATHS[parts.path].get(name)
        if check is None or not all(map(check, values)):
            raise _bad(f"Failed to deserialize query parameters: {name}")
        if len(values) > 1 and name not in _REPEATABLE:
            raise _bad(f"Failed to deserialize query parameters: duplicate field {name}")
    _check_together(parts.path, query)
    return parts.path, query


def _check_together(path: str, query: Query) -> None:
    def first(name: str) -> str:
        return query.get(name, ("",))[0]

    if path != "/v1/speak" and not first("model"):
        raise _bad("missing field model")
    if bool(first("encoding")) != bool(first("sample_rate")):
        raise _bad("encoding and sample_rate go together")
    if first("utterance_end_ms") and first("interim_results") != "true":
        raise _bad("utterance_end_ms needs interim_results=true")
    if path == "/v1/listen" and "keyterm" in query and not first("model").startswith("nova-3"):
        raise _bad("keyterm needs nova-3")
    if path == "/v2/listen" and "language_hint" in query and first("model") != "flux-general-multi":
        raise _bad("language_hint needs flux-general-multi")


def _bad(message: str) -> RefusedError:
    return RefusedError(400, "INVALID_QUERY_PARAMETER", message)
