"""A release as the farm knows it: its snapshot, its state, its template while it has one."""

import time
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
