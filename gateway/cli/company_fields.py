"""What ``callfarm company`` is told of a company: fields as FIELD=VALUE, secrets never.

A command line is read by everybody on the machine (``ps``) and kept by the shell. A secret is asked
for at the terminal, without an echo, or read from standard input, a line each.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import typer

from gateway.cli.output import fail

NESTED = "settings."
"""A field that begins so is one of the company's own settings."""


def fields(words: Iterable[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields and the settings that ``words`` name; ``None`` for what is taken away.

    Leaves with a sentence for a word that names none.
    """
    plain: dict[str, Any] = {}
    nested: dict[str, Any] = {}
    for word in words:
        name, sign, text = word.partition("=")
        if not sign:
            fail(f"{word!r} is no field: write FIELD=VALUE, or FIELD= to take it away", code=2)
        if name.startswith(NESTED) and len(name) > len(NESTED):
            nested[name.removeprefix(NESTED)] = _plain_value(_content(name, text))
        else:
            value = _content(name, text)
            plain[_known(name)] = value or "" if name == "name" else value
    return plain, nested


def _known(name: str) -> str:
    from gateway.store.company import HIDDEN, PLAIN

    if name in HIDDEN:
        fail(f"{name} is a secret, and a command line is no place for one: --secret {name}", code=2)
    known = [it for it in PLAIN if it not in {"name", "settings"}]
    if name not in known and name != "name":
        near = get_close_matches(name, known, 1, 0.6)
        there = f"there are {', '.join(known)}, settings.NAME"
        meant = f"did you mean {near[0]}?" if near else there
        fail(f"a company has no field {name!r}; {meant}", code=2)
    return name


def _content(name: str, text: str) -> str | None:
    """Return a field's value: what is written, or what is in the file that ``@`` names."""
    if not text.startswith("@"):
        return text or None
    try:
        return Path(text[1:]).read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{name}: {text[1:]} cannot be read: {error}")


def _plain_value(text: str | None) -> Any:
    """Return JSON as what it means (``5``, ``["DE"]``), and anything else as text."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def merged(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return a company's settings with what was changed; they are told as a whole."""
    return {name: it for name, it in (settings | changes).items() if it is not None}


def secrets(wanted: Sequence[str], forgotten: Sequence[str]) -> dict[str, Any]:
    """Return secrets that are asked for, or taken away, as fields of a company."""
    from gateway.store.company import HIDDEN

    told: dict[str, str | None] = {name: _secret(name) for name in wanted}
    told |= dict.fromkeys(forgotten)
    found: dict[str, Any] = {name: it for name, it in told.items() if name in HIDDEN}
    named = {name: it for name, it in told.items() if name not in HIDDEN}
    return found | ({"secrets": named} if named else {})


def _secret(name: str) -> str:
    if sys.stdin.isatty():
        text = str(typer.prompt(name, hide_input=True, err=True))
    else:
        text = sys.stdin.readline()
    if not text.strip():
        fail(f"there is no {name} on standard input: a line for each --secret, in their order")
    return text.strip()
