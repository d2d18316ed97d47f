"""A company's ``agent``, checked as it is saved: one that its calls could have now.

    agent ──none of the release's──> refused, with those that there are
      └─────none of settings.agents─> refused, with those

While no release is live, or its agents are not known, the company's own list alone is asked.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET

from gateway.store.company import CompanyChange, CompanyError
from gateway.store.company_settings import allowed_agents

_MOST_SHOWN = 80


def check_agent(
    change: CompanyChange, agent: str | None, settings: Mapping[str, Any], live: Sequence[str]
) -> None:
    """Raise `CompanyError` for a change after which a company's agent could not take its calls.

    ``agent`` and ``settings`` are the company's of before; ``live`` are the release's agents. What
    a change does not name is not held against it: a release may have lost the agent meanwhile.
    """
    if change.settings is not UNSET:
        settings = change.settings
    if change.agent is not UNSET:
        agent = change.agent
        if agent and live and _full(agent, live) not in live:
            raise CompanyError(f"agent: {_none_called(agent)}; there are: {', '.join(live)}")
    elif change.settings is UNSET:
        return
    allowed = allowed_agents(settings)
    if not agent or allowed is None or _fits(agent, allowed, live):
        return
    known = ", ".join(allowed) or "none"
    raise CompanyError(
        f"agent: {agent[:_MOST_SHOWN]!r} is not in settings.agents, which has: {known}"
    )


def _fits(agent: str, allowed: Sequence[str], live: Sequence[str]) -> bool:
    """Whether one of ``allowed`` means ``agent``: by its full name or its class's."""
    if live:
        return _full(agent, live) in {_full(each, live) for each in allowed}
    return any(agent == each or _class(agent) == _class(each) for each in allowed)


def _full(name: str, live: Sequence[str]) -> str:
    """Return ``module:Class`` of an agent, the name as it is if none or several are called so."""
    if name in live:
        return name
    found = [each for each in live if _class(each) == name]
    return found[0] if len(found) == 1 else name


def _class(name: str) -> str:
    return name.rpartition(":")[2]


def _none_called(name: str) -> str:
    return f"no agent of the release is called {name[:_MOST_SHOWN]!r}, or several are"
