"""Asks the carrier for a call that is written down, and says what came of that.

    a turn ──still wanted?──> carrier asked ──> exists | refused | in doubt

It refuses to know who ordered the call, and how it is followed afterwards.
"""

import asyncio
import time
from collections.abc import Callable

from gateway.carriers.control import CarrierError, CarrierUnavailableError
from gateway.dialer.attempt import NOT_NOW, Attempt, AttemptState
from gateway.dialer.errors import DialInDoubtError, DialRefusedError, DialUnavailableError
from gateway.dialer.following import Following
from gateway.dialer.lines import Line
from gateway.dialer.order import Dialled, always, new_call

CALLBACK_SECONDS = 3.0
"""How long a callback may take to tell what the carrier's lost answer did not."""


class Asking:
    """Asks for calls whose webhooks go to ``origin``. ``stopping``: for none any more."""

    def __init__(self, following: Following, origin: str) -> None:
        self._following, self._origin = following, origin
        self.stopping = False

    async def call(
        self, attempt: Attempt, line: Line, turn_at: float, wanted: Callable[[], bool] = always
    ) -> Dialled:
        """Have a call placed when its turn has come; return when the carrier has it.

        ``wanted`` is asked at the last moment. Raises the errors of `gateway.dialer.errors`.
        """
        self._following.follow(attempt)
        try:
            await asyncio.sleep(turn_at - time.monotonic())
            self._check(wanted)
            placed = await line.control.place(new_call(attempt, self._origin))
        except CarrierError as error:
            await self._not_placed(attempt, error)
        except BaseException as error:
            # Stopped, or a fault of ours: perhaps it calls.
            cut_off = f"asking the carrier was cut off: {type(error).__name__}"
            self._following.doubt(attempt, cut_off)
            raise
        else:
            self._following.exists(attempt, placed)
        return Dialled.of(attempt)

    def _check(self, wanted: Callable[[], bool]) -> None:
        """Raise `CarrierUnavailableError` for an order that must not be carried out any more."""
        if self.stopping or not wanted():
            why = "the server is stopping" if self.stopping else "the order was withdrawn"
            raise CarrierUnavailableError("place the call", why, perhaps_done=False)

    async def _not_placed(self, attempt: Attempt, error: CarrierError) -> None:
        """Return if the call exists all the same. Raises what else is true."""
        sentence, following = str(error), self._following
        if not isinstance(error, CarrierUnavailableError):
            following.fails(attempt, AttemptState.REFUSED, sentence)
            raise DialRefusedError("carrier", sentence, getattr(error, "code", 0)) from error
        if not error.perhaps_done:
            attempt.status = NOT_NOW  # who gives the same order again has it tried again
            following.fails(attempt, AttemptState.REFUSED, sentence)
            raise DialUnavailableError(sentence) from error
        following.doubt(attempt, sentence)
        if not await following.known(attempt, CALLBACK_SECONDS):
            if attempt.state is AttemptState.LOST:
                raise DialUnavailableError(sentence) from error
            raise DialInDoubtError(attempt.id, sentence) from error
