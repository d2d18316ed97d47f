"""The first code that runs in a template: makes the spawned process one, then loads the worker.

The gateway names this module and nothing of ``worker``; the worker is found by name here, in the
new process. `TemplateProcess` is the gateway's handle for starting it.
"""

import asyncio
import importlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import aiomultiprocess
import aiomultiprocess.core
import setproctitle
from aiomultiprocess.types import Unit

from shared.kernel import arm_lifeline, lifeline_cut, reopen


@dataclass(frozen=True, slots=True)
class ReleaseSpec:
    """What a template needs to know of its release.

    ``folder`` is the snapshot, ``live_folder`` the operator's own copy, which must not be seen;
    ``agent`` overrides the default route; ``environment`` is all that call processes may know.
    """

    release: str
    folder: str
    live_folder: str
    agent: str | None
    environment: dict[str, str]
    hidden: tuple[str, ...] = ()
    settings: tuple[tuple[str, float], ...] = ()


class TemplateProcess(aiomultiprocess.Process):  # type: ignore[misc]
    """A spawned process that will fork call processes.

    Builds its unit without the manager that the stock constructor starts (another process and
    two threads). It ignores SIGTERM, so a gateway must end it before it leaves its interpreter.
    """

    def __init__(
        self, control: socket.socket, lifeline: Connection, stderr: Connection, spec: ReleaseSpec
    ) -> None:
        self.unit = Unit(
            target=run_call,
            args=(),
            kwargs={},
            namespace=None,
            initargs=(control, lifeline, stderr, spec),
        )
        self.aio_process = aiomultiprocess.core.get_context().Process(
            target=template_process, args=(self.unit,), name=f"template {spec.release}", daemon=True
        )

    def reap(self) -> int | None:
        """Return how the process ended, when it has: its exit code, or minus the signal's number.

        Its descriptors go with it. ``None`` when it lives, or when its status was lost.
        """
        code: int | None = self.aio_process.exitcode
        if code is not None:
            self.aio_process.close()
        return code


def template_process(unit: Unit) -> None:
    """Be a template: this is the spawned process's whole life."""
    control, lifeline, stderr, spec = unit.initargs
    os.setsid()
    os.dup2(stderr.fileno(), 1)
    os.dup2(stderr.fileno(), 2)
    stderr.close()
    # The group, so that what an agent starts dies with the gateway as well.
    # All templates inherit one description of the pipe's end, and that has one owner.
    own_lifeline = reopen(lifeline.fileno())
    lifeline.close()
    arm_lifeline(own_lifeline, -os.getpid())
    if lifeline_cut(own_lifeline):
        os._exit(1)
    # Titles are written over the first environment: they need to see it before it is replaced.
    setproctitle.setproctitle(f"callfarm template {spec.release}")
    environment = dict(spec.environment)
    os.environ.clear()
    os.environ.update(environment)
    serve: Callable[..., None] = importlib.import_module("worker.template").serve
    serve(unit, control, own_lifeline, spec)


async def run_call(*args: Any) -> None:
    """The coroutine of every fork: the worker's runtime, found by name."""
    await importlib.import_module("worker.runtime").run(*args)


def call_loop() -> asyncio.AbstractEventLoop:
    """Make a call process's event loop. After the fork only: uvloop would leave threads."""
    import uvloop

    return uvloop.new_event_loop()
