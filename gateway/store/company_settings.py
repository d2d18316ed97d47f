"""What a company's ``settings`` say, read and checked. No I/O.

    {"dial_allow": ["+49"], "dial_deny": ["+4930"], "agents": ["Reminder"], …}

A list may be a text, with commas. What is nonsense is refused when it is saved.
"""

import re
from collections.abc import Mapping
from typing import Any

from gateway.store.company import CompanyError

MOST_AGENTS = 100
MOST_PREFIXES = 500

_PREFIX = re.compile(r"\+[1-9][0-9]{0,14}")


def number_lists(settings: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the beginnings of numbers that a company may call, and those that it may not."""
    return _texts(settings, "dial_allow"), _texts(settings, "dial_deny")


def allowed_agents(settings: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the agents that a company may name; ``None``: all."""
    return _texts(settings, "agents") if settings.get("agents") is not None else None


def check_settings(settings: Mapping[str, Any]) -> None:
    """Raise `CompanyError` for what nobody would understand."""
    for name in ("dial_allow", "dial_deny"):
        given = _texts(settings, name)
        if not _is_text(settings.get(name)) or not all(map(_PREFIX.fullmatch, given)):
            raise CompanyError(f'settings.{name} holds numbers\' beginnings: ["+49", "+1212"]')
        if len(given) > MOST_PREFIXES:
            raise CompanyError(f"settings.{name} holds at most {MOST_PREFIXES}")
    agents = settings.get("agents")
    if not _is_text(agents) or len(_texts(settings, "agents")) > MOST_AGENTS:
        raise CompanyError('settings.agents holds agents: ["Reminder", "desk:Receptionist"]')
    rate = settings.get("calls_per_second", 1)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate <= 1000:
        raise CompanyError("settings.calls_per_second is a number up to 1000")


def _is_text(given: Any) -> bool:
    if isinstance(given, list):
        return all(isinstance(each, str) for each in given)
    return given is None or isinstance(given, str)


def _texts(settings: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return the parts of a text between commas, or a list of texts."""
    found = settings.get(name)
    parts = found.split(",") if isinstance(found, str) else found
    if not isinstance(parts, list | tuple):
        return ()
    return tuple(part.strip() for part in map(str, parts) if part.strip())
