"""A real gateway in a folder of its own, and a process of callers."""

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.callers import call_sid
from bench.crowd import Crowd, crowd
from bench.people import Ring
from tests.harness import RunningGateway, eventually, running_gateway

_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Scene:
    """What a benchmark plays with."""

    gateway: RunningGateway
    crowd: Crowd

    async def ring(self, count: int) -> Ring:
        """Ring ``count`` times at once; return when every call runs agent code."""
        ring = await self.crowd.ring(count)
        assert not ring.refused, f"{ring.refused} of {count} calls were refused"
        await eventually(lambda: self._running(count), _PATIENCE_SECONDS)
        return ring

    async def connect(self, count: int) -> None:
        """Have ``count`` calls whose streams are open."""
        await self.ring(count)
        await self.crowd.connect()

    async def hang_up(self) -> None:
        """End all calls; return when their processes are gone."""
        await self.crowd.hang_up()
        await eventually(self._quiet, _PATIENCE_SECONDS)

    async def agent_state(self, number: int) -> Any:
        """Return what the agent of an ended call left."""
        return (await self.gateway.call_view(call_sid(number)))["agent_state"]

    async def _running(self, count: int) -> bool:
        return sum(bool(call["agent"]) for call in await self.gateway.calls()) == count

    async def _quiet(self) -> bool:
        releases = (await self.gateway.api("GET", "/api/releases")).json()["releases"]
        return not any(release["calls"] for release in releases)


@asynccontextmanager
async def scene(
    agents: Mapping[str, str],
    environment: Mapping[str, str] | None = None,
    program: str = "gateway",
) -> AsyncIterator[Scene]:
    """Run a gateway, or a ``program`` like it, and callers, until the block ends."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        async with running_gateway(
            Path(folder), agents, environment, program=program, fresh=True
        ) as gateway:
            with crowd(gateway) as people:
                yield Scene(gateway, people)
