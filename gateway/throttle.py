"""Who keeps failing the signature waits longer for each refusal.

A bounded number waits at a time; the others are refused at once. An address that passes is
forgotten: behind a proxy all callers share one, and Twilio must never be slowed by somebody else's
guesses.
"""

import asyncio
import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

MOST_WAITING = 100
"""Refusals that are withheld at a time, for each throttle."""


@dataclass(frozen=True, slots=True)
class _Failures:
    count: int
    latest: float


class Throttle:
    """Counts failures by address. ``clock`` is monotonic, in seconds, as are all durations.

    The first ``free`` failures cost nothing (someone is setting up a number); then the delay
    doubles from ``first_delay_s`` up to ``longest_delay_s``. An address is forgotten after
    ``memory_s`` without a failure, or when ``limit`` others failed since.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        free: int = 3,
        first_delay_s: float = 0.25,
        longest_delay_s: float = 5.0,
        memory_s: float = 600.0,
        limit: int = 10_000,
    ) -> None:
        self._clock, self._free, self._limit = clock, free, limit
        self._first_delay_s, self._longest_delay_s = first_delay_s, longest_delay_s
        self._memory_s = memory_s
        self._failures: OrderedDict[str, _Failures] = OrderedDict()  # longest quiet first
        self._waiting = 0

    def __len__(self) -> int:
        return len(self._failures)

    def failed(self, address: str) -> float:
        """Note a failed signature; return for how many seconds to withhold the refusal."""
        now = self._clock()
        self._forget(now)
        key = _key(address)
        before = self._failures.pop(key, None)
        count = before.count + 1 if before else 1
        self._failures[key] = _Failures(count, now)
        if len(self._failures) > self._limit:
            self._failures.popitem(last=False)
        return self._delay(count)

    async def withhold(self, address: str) -> None:
        """Note a failed signature; return when its refusal may be told."""
        seconds = self.failed(address)
        if seconds and self._waiting < MOST_WAITING:
            self._waiting += 1
            try:
                await asyncio.sleep(seconds)
            finally:
                self._waiting -= 1

    def passed(self, address: str) -> None:
        """Note a good signature: the address starts afresh."""
        self._failures.pop(_key(address), None)

    def _delay(self, count: int) -> float:
        doublings = min(count - self._free - 1, 32)
        if doublings < 0:
            return 0.0
        return min(self._first_delay_s * 2.0**doublings, self._longest_delay_s)

    def _forget(self, now: float) -> None:
        while self._failures:
            oldest = next(iter(self._failures))
            if now - self._failures[oldest].latest < self._memory_s:
                return
            del self._failures[oldest]


def _key(address: str) -> str:
    """Count an IPv6 network of 64 bits as one: its holder can use every address in it."""
    try:
        parsed = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))
