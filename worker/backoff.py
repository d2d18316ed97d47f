"""When a lost connection is tried again, and when it is given up. Pure; the clock is given.

    up ──lost──> try at once ──> 0.25 s ──> 0.5 s ──> 1 s ──> 2 s ──> given up
     └──────────── up for `Retry.steady_s`: all is forgotten ────────────┘

A connection that opens and dies at once is a failure like one that never opens: what counts is
how long it stayed up. Where another provider is left to take over (`in_haste`) it is tried again
once, and then it is the other one's turn: a caller waits meanwhile.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

from worker.errors import ProviderError, ProviderLostError, ProviderRefusedError

HASTY_TRIES = 1
"""How often a lost connection is tried again while another provider is left."""

_is_hasty: ContextVar[bool] = ContextVar("is_hasty", default=False)


@contextmanager
def in_haste(is_so: bool) -> Iterator[None]:
    """Say whether another provider is left for what is opened within."""
    before = _is_hasty.set(is_so)
    try:
        yield
    finally:
        _is_hasty.reset(before)


@dataclass(frozen=True, slots=True)
class Retry:
    """How patient a call is with a provider. Times in seconds."""

    tries: int = 5
    """How often in a row it is tried again before it is given up."""

    first_delay_s: float = 0.25
    """Wait before the second of them (the first comes at once); doubles with each."""

    longest_delay_s: float = 2.0
    """Where it doubles no more. Every wait is up to a fifth shorter or longer."""

    steady_s: float = 5.0
    """A connection that was up for so long was a good one."""

    open_s: float = 4.0
    """How long an opening handshake may take."""

    start_s: float = 9.0
    """How long the first connection may take, all its tries together: a caller hears nothing."""

    most_wait_s: float = 3.0
    """A provider that asks for a longer pause (Retry-After) is given up: a caller waits."""

    def now(self) -> "Retry":
        """Return the patience with what is opened now: less `in_haste`."""
        return replace(self, tries=min(self.tries, HASTY_TRIES)) if _is_hasty.get() else self


class Backoff:
    """The failures of one connection, in their order."""

    def __init__(self, retry: Retry) -> None:
        self._retry = retry
        self._failures = 0

    def failed(self, error: ProviderError, up_s: float) -> float | None:
        """Return how long to wait before the next try, in seconds; ``None`` to give it up.

        ``up_s`` is how long the connection had been open, 0 when it never was.
        """
        retry = self._retry
        if up_s >= retry.steady_s:
            self._failures = 0
        self._failures += 1
        if isinstance(error, ProviderRefusedError) or self._failures > retry.tries:
            return None
        delay = 0.0
        if self._failures > 1:
            delay = min(retry.longest_delay_s, retry.first_delay_s * 2 ** (self._failures - 2))
            delay *= random.uniform(0.8, 1.2)  # noqa: S311 - spreads calls, guards nothing
        asked = error.retry_after_s if isinstance(error, ProviderLostError) else None
        if asked is not None:
            if asked > retry.most_wait_s:
                return None
            delay = max(delay, asked)
        return delay
