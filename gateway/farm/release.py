"""A release as the farm knows it: its snapshot, its state, its template while it has one."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.farm.process import CallProcess
from gateway.farm.states import ReleaseState, release_machine
from gateway.farm.template import Template
from shared.machine import Machine


@dataclass(slots=True, eq=False)
class Release:
    """One release. ``processes`` are its live call processes; ``error`` says why it failed."""

    id: str
    folder: Path
    machine: Machine[ReleaseState] = field(default_factory=release_machine)
    template: Template | None = None
    processes: set[CallProcess] = field(default_factory=set)
    created: float = field(default_factory=time.time)
    agents: tuple[str, ...] = ()
    load_ms: float = 0.0
    rehearse_ms: float = 0.0
    memory: int = 0
    notes: tuple[str, ...] = ()
    direct: bool = False
    exceptions: frozenset[str] = frozenset()
    direct_agents: frozenset[str] = frozenset()
    machines: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    deaths: list[float] = field(default_factory=list)

    @property
    def state(self) -> ReleaseState:
        """How far it has come."""
        return self.machine.state

    @property
    def warm(self) -> bool:
        """Whether its template can fork now."""
        return self.template is not None and self.template.alive and bool(self.template.ready)

    def is_direct(self, number: str, agent: str = "") -> bool:
        """Whether a call of ``agent``, or of the one of ``number``, is joined to its service."""
        if agent in self.agents:
            return agent in self.direct_agents
        return self.direct != (number in self.exceptions)

    def named(self, name: str) -> str | None:
        """Return the agent called ``name``: ``module:Class``, or the class's name if it is one's.

        ``None`` if there is none, or there are several.
        """
        if name in self.agents:
            return name
        found = [each for each in self.agents if each.partition(":")[2] == name]
        return found[0] if len(found) == 1 else None

    def machine_policy(self, agent: str, number: str) -> str:
        """Return what ``agent``, or the one of ``number``, does about answering machines."""
        if agent in self.agents:
            return self.machines.get(agent, "go-on")
        return self.machines.get(number, self.machines.get("", "go-on"))


@dataclass(frozen=True, slots=True)
class ReleaseView:
    """What is told of a release outside the farm. Times in ms and Unix seconds, memory in bytes."""

    id: str
    state: str
    current: bool
    warm: bool
    calls: int
    created: float
    agents: tuple[str, ...]
    load_ms: float
    rehearse_ms: float
    memory: int
    notes: tuple[str, ...]
    error: str


def view(release: Release, current: Release | None) -> ReleaseView:
    """Return the picture of ``release``."""
    return ReleaseView(
        id=release.id,
        state=release.state.value,
        current=release is current,
        warm=release.warm,
        calls=len(release.processes),
        created=release.created,
        agents=release.agents,
        load_ms=round(release.load_ms, 1),
        rehearse_ms=round(release.rehearse_ms, 1),
        memory=release.memory,
        notes=release.notes,
        error=release.error,
    )
