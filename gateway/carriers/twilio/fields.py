"""Verified parameters, read by name.

Of a repeated parameter the first counts. An optional one that is absent or not what it should be
reads as empty or ``None``; a required id that is missing or malformed raises. It refuses to know
which parameter belongs to which webhook.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from gateway.carriers.twilio.signed_request import Parameters

_SID = re.compile(r"[A-Z]{2}[0-9a-f]{32}", re.IGNORECASE | re.ASCII)
_WHOLE = re.compile(r"-?[0-9]{1,15}", re.ASCII)


class FieldError(ValueError):
    """A required parameter that is missing or malformed. ``value`` is ``None`` if missing."""

    def __init__(self, name: str, prefix: str, value: str | None) -> None:
        super().__init__(name, prefix, value)
        self.name, self.prefix, self.value = name, prefix, value

    def __str__(self) -> str:
        found = "is missing" if self.value is None else f"is {self.value[:40]!r}"
        return f"{self.name} {found}; it must be {self.prefix} and 32 hexadecimal digits"


class Fields:
    """The parameters of one webhook."""

    def __init__(self, parameters: Parameters) -> None:
        self.everything: Mapping[str, str] = MappingProxyType(dict(reversed(parameters)))

    def sid(self, name: str, prefix: str) -> str:
        """Return a Twilio id such as ``CA…``. Raises ``FieldError``."""
        value = self.everything.get(name)
        if value is None or not value.startswith(prefix) or not _SID.fullmatch(value):
            raise FieldError(name, prefix, value)
        return value

    def text(self, name: str) -> str:
        """Return a value, empty when absent."""
        return self.everything.get(name, "")

    def whole(self, name: str) -> int | None:
        """Return a whole number, ``None`` when absent or no number."""
        value = self.text(name).strip()
        return int(value) if _WHOLE.fullmatch(value) else None

    def flag(self, name: str) -> bool:
        """Tell whether a value is ``true``."""
        return self.text(name).lower() == "true"
