"""How patient the dialer is with a carrier that says nothing."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FollowTimes:
    """When the carrier is asked, in seconds.

    Its list lags behind, so an attempt in doubt is looked for after ``first_look``, again every
    ``again`` (doubled while the carrier cannot be asked, up to ``longest``), and lost if it is not
    there after ``give_up``. Of a call that exists the end is overdue when ring time or talk time
    are over by ``overdue``. What another gateway was told is read every ``catch_up``. ``hang_up``
    are the pauses between tries to end a call while the carrier cannot be asked.
    """

    tick: float = 1.0
    first_look: float = 8.0
    give_up: float = 45.0
    again: float = 10.0
    longest: float = 300.0
    overdue: float = 30.0
    catch_up: float = 2.0
    hang_up: tuple[float, ...] = (2.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0)
