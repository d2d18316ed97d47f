"""Which agent a call is for: one that is live, and that the company may name."""

from collections.abc import Collection
from typing import Protocol

from gateway.dialer.errors import DialRefusedError


class Agents(Protocol):
    """What is known of the agents that are live."""

    def named(self, name: str) -> str | None:
        """Return the full name (``module:Class``) of an agent, ``None`` if there is none."""

    def machine_policy(self, agent: str, number: str) -> str:
        """Return the policy of an agent, or of the one that answers ``number`` if it is empty."""


def chosen(agents: Agents, name: str | None, allowed: Collection[str] | None) -> str:
    """Return the full name of an agent, empty if none is named. Raises `DialRefusedError`."""
    if not name:
        return ""
    found = agents.named(name)
    if found is None:
        sentence = f"no agent is called {name[:80]!r}: name it in routes.toml, under agents"
        raise DialRefusedError("agent", sentence)
    if allowed is not None and found not in {agents.named(each) for each in allowed}:
        known = ", ".join(allowed) or "none (settings.agents)"
        sentence = f"the company may not use the agent {name[:80]!r}; it may use: {known}"
        raise DialRefusedError("agent", sentence)
    return found
