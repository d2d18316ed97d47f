"""What is asked of the fields of a JSON body: small checks that are put together."""

import re
from collections.abc import Callable
from typing import Any

DURATION = re.compile(r"-?(?:0|[1-9][0-9]{0,11})(?:\.[0-9]{1,9})?s")

Check = Callable[[Any, str], None]
"""Raises `BadBodyError` for a value; the text is where it stands."""


class BadBodyError(Exception):
    """The body is refused: ``where`` is the field, ``what`` the fault of it."""

    def __init__(self, where: str, what: str) -> None:
        self.where, self.what = where, what
        super().__init__(where, what)


def seconds(text: str) -> float:
    """Return a duration as Ultravox writes it, in seconds."""
    return float(text.removesuffix("s"))


def kind_of(kind: type | tuple[type, ...], name: str) -> Check:
    """Refuse what is of another kind."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise BadBodyError(where, f"is no {name}")

    return check


is_text = kind_of(str, "string")
is_flag = kind_of(bool, "boolean")
is_object = kind_of(dict, "object")


def number(least: float, most: float) -> Check:
    """Refuse what is no number in between."""

    def check(value: Any, where: str) -> None:
        kind_of((int, float), "number")(value, where)
        if not least <= value <= most:
            raise BadBodyError(where, f"is not {least} to {most}")

    return check


def is_duration(value: Any, where: str) -> None:
    """Refuse what is no duration."""
    is_text(value, where)
    if not DURATION.fullmatch(value):
        raise BadBodyError(where, "is no duration")


def one_of(*values: str) -> Check:
    """Refuse any other value."""

    def check(value: Any, where: str) -> None:
        if value not in values:
            raise BadBodyError(where, f"is none of {', '.join(values)}")

    return check


def fields(required: tuple[str, ...] = (), /, **known: Check) -> Check:
    """Refuse an object with other fields, or without the ``required`` ones."""

    def check(value: Any, where: str) -> None:
        is_object(value, where)
        for name, part in value.items():
            if name not in known:
                raise BadBodyError(f"{where}.{name}".lstrip("."), "is an unknown field")
            known[name](part, f"{where}.{name}".lstrip("."))
        for name in required:
            if name not in value:
                raise BadBodyError(f"{where}.{name}".lstrip("."), "is required")

    return check


def list_of(item: Check) -> Check:
    """Refuse what is no list of such items."""

    def check(value: Any, where: str) -> None:
        kind_of(list, "list")(value, where)
        for at, part in enumerate(value):
            item(part, f"{where}[{at}]")

    return check


def one_key(check: Check, keys: set[str]) -> Check:
    """Refuse an object with none of ``keys``, or with several."""

    def checked(value: Any, where: str) -> None:
        check(value, where)
        if len(keys & set(value)) != 1:
            raise BadBodyError(where, f"needs exactly one of {', '.join(sorted(keys))}")

    return checked
