"""Phone numbers a call may be sent to: E.164, and the operator's named destinations.

It refuses to know countries and carriers: whether a number exists is found out by calling it.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

_E164 = re.compile(r"\+[1-9][0-9]{7,14}")
_SEPARATORS = str.maketrans("", "", " -./()\u00a0")
_NAME = re.compile(r"[\w-]{1,64}")


class NumberError(ValueError):
    """``number`` is not an international number; ``name`` is its destination, if it has one."""

    def __init__(self, number: str, name: str = "") -> None:
        super().__init__(number, name)
        self.number, self.name = number, name

    def __str__(self) -> str:
        of = f" of {self.name}" if self.name else ""
        return f"{self.number[:40]!r}{of} is no phone number; write it like +493012345678"


class DestinationError(ValueError):
    """An entry of ``TRANSFER_NUMBERS`` that is no ``name=+number``, or names one twice."""

    def __init__(self, entry: str, reason: str) -> None:
        super().__init__(entry, reason)
        self.entry, self.reason = entry, reason

    def __str__(self) -> str:
        return f"{self.entry[:60]!r} {self.reason}; write: sales=+493012345678, desk=+15551234567"


def phone_number(text: str) -> str:
    """Return ``text`` as ``+`` and 8 to 15 digits, without the separators people write.

    Raises ``NumberError``.
    """
    number = text.translate(_SEPARATORS)
    if not _E164.fullmatch(number):
        raise NumberError(text)
    return number


def queried_number(text: str) -> str:
    """Return the number of a URL query, in which a raw ``+`` was decoded to a space.

    Raises ``NumberError``.
    """
    return phone_number("+" + text[1:] if text.startswith(" ") else text)


def destinations(text: str) -> Mapping[str, str]:
    """Parse ``name=+number, other=+number`` into numbers by name.

    Raises ``DestinationError`` or ``NumberError``.
    """
    numbers: dict[str, str] = {}
    for entry in filter(None, map(str.strip, text.split(","))):
        name, sign, number = (part.strip() for part in entry.partition("="))
        if not sign or not _NAME.fullmatch(name):
            raise DestinationError(entry, "is no named number")
        if name in numbers:
            raise DestinationError(entry, "names a destination twice")
        numbers[name] = _number_of(name, number)
    return MappingProxyType(numbers)


def _number_of(name: str, number: str) -> str:
    try:
        return phone_number(number)
    except NumberError as error:
        raise NumberError(number, name) from error
