"""An event loop whose clock jumps to the next timer instead of waiting for it.

A conversation of half an hour is tested in milliseconds, in the order in which it would happen:
what is ready runs first, sockets and pipes of the test's own process included; only when nothing
is left does time pass, and then it passes at once.
"""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

Case = ParamSpec("Case")

_STUCK_SECONDS = 2.0


class StuckError(AssertionError):
    """Nothing is ready, no timer is set, and nothing came from outside: the test waits in vain."""


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits while there is a timer: what it was told to wait is added to ``now``."""

    now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            ready = super().select(_STUCK_SECONDS)
            if not ready:
                raise StuckError
            return ready
        self.now += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """The standard loop on virtual time. Exceptions nobody caught are kept in ``failures``."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self.failures: list[dict[str, Any]] = []
        self.set_exception_handler(lambda loop, context: self.failures.append(context))

    def time(self) -> float:
        """Return the virtual time, in seconds."""
        return self._jumping.now


def virtual_time(
    case: Callable[Case, Coroutine[Any, Any, None]],
) -> Callable[Case, None]:
    """Run an asynchronous test on a `VirtualLoop`; what is raised into the loop fails it."""

    @functools.wraps(case)
    def run(*args: Case.args, **kwargs: Case.kwargs) -> None:
        loops: list[VirtualLoop] = []

        def make() -> VirtualLoop:
            loops.append(VirtualLoop())
            return loops[0]

        with asyncio.Runner(loop_factory=make) as runner:
            runner.run(case(*args, **kwargs))
        assert not loops[0].failures, loops[0].failures

    return run


async def settled(rounds: int = 12) -> None:
    """Let everything happen that can without time passing."""
    for _ in range(rounds):
        await asyncio.sleep(0)
