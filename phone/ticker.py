"""One 20 ms beat for all calls of a phone.

The beat has four slots, 5 ms apart, and each member belongs to one: a hundred calls do not all
send in the same instant, as real ones do not either. Beats are counted from one moment on the
monotonic clock, so they never drift; after a stall the missed beats follow at once. It uses one
timer whatever the number of members, none when there is no member.
"""

from collections.abc import Callable

from phone.clock import Clock, Timer

BEAT_S = 0.020
_SLOTS = 4
_SLOT_S = BEAT_S / _SLOTS

Member = Callable[[], None]


class Ticker:
    """Calls every member each 20 ms. A member must not raise and must not block."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._slots: tuple[dict[Member, None], ...] = tuple({} for _ in range(_SLOTS))
        self._epoch = 0.0
        self._next = 0
        self._timer: Timer | None = None

    def join(self, member: Member) -> None:
        """Call ``member`` from now on, first within 20 ms."""
        min(self._slots, key=len)[member] = None
        if self._timer is None:
            self._epoch, self._next = self._clock.now(), 0
        else:
            # Empty slots were skipped: go back to the first one ahead, not past a beat still owed.
            ahead = int((self._clock.now() - self._epoch) / _SLOT_S) + 1
            self._next = min(self._next, ahead)
        self._schedule()

    def leave(self, member: Member) -> None:
        """Call ``member`` no more; harmless when it is no member."""
        for slot in self._slots:
            slot.pop(member, None)
        if not any(self._slots) and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        while not self._slots[self._next % _SLOTS]:
            self._next += 1
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.call_at(self._epoch + self._next * _SLOT_S, self._beat)

    def _beat(self) -> None:
        now = self._clock.now()
        while self._epoch + self._next * _SLOT_S <= now:
            for member in tuple(self._slots[self._next % _SLOTS]):
                member()
            self._next += 1
        if any(self._slots):
            self._schedule()
        else:
            self._timer = None
