"""Placed calls that nobody has answered: no webhook ever asks about them, yet they are calls.

They are written down and told of here, from what the dialer knows. It knows nothing of calls that
were answered: those keep their own record.
"""

import time
from collections.abc import Callable
from typing import Any

from gateway.dialer.attempt import Attempt, AttemptState
from gateway.outbox.call_values import call_of, ended_of
from gateway.outbox.outbox import Outbox
from gateway.outbox.reports import ended_event
from gateway.store.store import Store, Upsert

_UNANSWERED = frozenset({"busy", "no-answer", "canceled", "failed"})


def keep_unanswered(
    store: Store, outbox: Outbox, clock: Callable[[], float] = time.time
) -> Callable[[Attempt], None]:
    """Return what is to hear of each change of an attempt (``Following.listeners``)."""
    began = clock()

    def changed(it: Attempt) -> None:
        if it.state is not AttemptState.ENDED or it.answered or it.status not in _UNANSWERED:
            return
        if it.plan.transfer_of:  # a part of another call
            return
        row = _row(it)
        store.write(Upsert("calls", row))
        if outbox.tells(it.company):
            nothing: dict[str, Any] = {
                name: [] for name in ("transcript", "turns", "tools", "recordings", "troubles")
            }
            told = {**ended_of(row), **nothing, "state": None, "variables": dict(it.plan.variables)}
            outbox.post(ended_event(call_of(row), told, again=it.created < began))

    return changed


def _row(it: Attempt) -> dict[str, Any]:
    return {
        "sid": it.sid,
        "company_id": it.company,
        "campaign_id": it.campaign,
        "lead": it.lead,
        "direction": "outbound-api",
        "from_number": it.from_,
        "to_number": it.to,
        "agent": it.plan.agent or None,
        "state": "ended",
        "status": it.status,
        "outcome": it.status,
        "reason": "nobody answered" if it.status != "failed" else "the call could not be made",
        "answered_by": it.answered_by or None,
        "began": it.created,
        "ended": it.ended,
    }
