"""Connection overrides: how a webhook wants to be fetched, written in its URL's fragment.

``https://you/voice#rc=2&rp=ct,rt,5xx&rt=4000``. Source: Twilio, "Webhooks: Connection Overrides".
The egress edge and SNI mean nothing on this side and are accepted and ignored.
"""

import msgspec

RETRY_REASONS = frozenset({"4xx", "5xx", "ct", "rt", "all"})
INVALID_RETRY_POLICY = 11243


class OverrideError(ValueError):
    """An override that Twilio would refuse."""

    def __init__(self, name: str, value: str, allowed: str) -> None:
        super().__init__(name, value, allowed)
        self.name, self.value, self.allowed = name, value, allowed

    def __str__(self) -> str:
        return f"connection override {self.name}={self.value!r}: use {self.allowed}"


class ConnectionOverrides(msgspec.Struct, frozen=True):
    """Times in ms; ``retry_on`` holds ``ct``, ``rt``, ``4xx``, ``5xx`` or ``all``."""

    connect_ms: int = 5000
    read_ms: int = 15_000
    total_ms: int = 15_000
    retries: int = 1
    retry_on: frozenset[str] = frozenset({"ct"})

    def retries_on(self, reason: str) -> bool:
        """Return whether a failure of this kind is tried again."""
        return reason in self.retry_on or "all" in self.retry_on


_NUMBERS = {
    "ct": ("connect_ms", 100, 10_000),
    "rt": ("read_ms", 100, 15_000),
    "tt": ("total_ms", 100, 15_000),
    "rc": ("retries", 0, 5),
}


def _number(name: str, text: str) -> int:
    _, lowest, highest = _NUMBERS[name]
    if not (text.isascii() and text.isdigit() and lowest <= int(text) <= highest):
        raise OverrideError(name, text, f"{lowest} to {highest}")
    return int(text)


def _policy(text: str) -> frozenset[str]:
    reasons = frozenset(text.split(","))
    if not reasons <= RETRY_REASONS:
        raise OverrideError("rp", text, "a comma list of " + ", ".join(sorted(RETRY_REASONS)))
    return reasons


def parse_overrides(fragment: str) -> ConnectionOverrides:
    """Read the fragment of a webhook URL. Raises `OverrideError` for a value out of range.

    Names that are no override are left alone: a fragment may be there for another reason.
    """
    found: dict[str, object] = {}
    for pair in filter(None, fragment.split("&")):
        name, _, value = pair.partition("=")
        if name in _NUMBERS:
            found[_NUMBERS[name][0]] = _number(name, value)
        elif name == "rp":
            found["retry_on"] = _policy(value)
    return msgspec.structs.replace(ConnectionOverrides(), **found)
