"""Hangs up a call that nobody wants any more, however long the carrier cannot be asked.

It costs money and somebody's time as long as it goes on.
"""

import asyncio
from collections.abc import Sequence

import structlog

from gateway.carriers.control import CarrierError, CarrierUnavailableError
from gateway.dialer.attempt import Attempt, AttemptState
from gateway.dialer.errors import DialError
from gateway.dialer.lines import Lines
from gateway.store.store import StoreError

log = structlog.get_logger(__name__)


async def hang_up(attempt: Attempt, lines: Lines, pauses: Sequence[float]) -> None:
    """Have the carrier end an attempt's call. ``pauses``: seconds between two tries.

    Does not fail: the log says what could not be done.
    """
    for pause in (*pauses, None):
        if attempt.state is AttemptState.ENDED:
            return
        try:
            line = await lines.line(attempt.company)
            await line.control.hangup(attempt.sid)
        except (CarrierUnavailableError, StoreError) as error:
            if pause is None:
                _not_done(attempt, error)
            else:
                log.warning("a call is not hung up yet", call_sid=attempt.sid, error=str(error))
                await asyncio.sleep(pause)
        except (CarrierError, DialError) as error:
            _not_done(attempt, error)
            return
        else:
            return


def _not_done(attempt: Attempt, error: Exception) -> None:
    log.error("it was not hung up", call_sid=attempt.sid, error=str(error))
