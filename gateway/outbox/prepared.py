"""An event that is written down with what it tells of, in one transaction: both or neither.

    made = outbox.prepared(event)
    if await store.commit(*made.statements(here), move):    # the last one says whether it was done
        outbox.send(made)

``here`` is what must hold for ``move`` to be done: where it does not, nothing is told either. A
gateway that dies between the two has the next one tell it: the rows wait in the database.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Executable, insert, literal, select, true

from gateway.outbox.deliveries import WAITING, Delivery, delivery, row_of
from gateway.outbox.early import EarlyEvent
from gateway.outbox.event import Endpoint, Event, body_of, delivery_id
from gateway.store.tables import deliveries


@dataclass(frozen=True, slots=True)
class Prepared:
    """What tells an event to everybody who wants to know; nothing of it is written or sent yet.

    ``early``: companies are told as well, when it is known which of them want to be.
    """

    deliveries: tuple[Delivery, ...]
    early: EarlyEvent | None = None

    def statements(self, here: ColumnElement[bool] | None = None) -> Sequence[Executable]:
        """Return what writes it down if ``here`` holds (about other tables' rows: an EXISTS)."""
        condition = true() if here is None else here
        made = []
        for each in self.deliveries:
            row = row_of(each, WAITING)
            values = [literal(row[name], deliveries.c[name].type).label(name) for name in row]
            made.append(insert(deliveries).from_select(list(row), select(*values).where(condition)))
        return made


def deliveries_of(
    event: Event, identity: str, to: Sequence[Endpoint], gateway: str | None
) -> tuple[Delivery, ...]:
    """Return the deliveries of an event ``to`` those of them that want it, for ``gateway``."""
    made = []
    for endpoint in to:
        body = body_of(event, identity, endpoint.shape) if endpoint.wants(event.name) else None
        if body is not None:
            key = delivery_id(identity, endpoint)
            made.append(delivery(key, event.name, endpoint, body, event.call_sid, gateway))
    return tuple(made)
