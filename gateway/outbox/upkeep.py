"""What becomes of deliveries that nobody looks after: taken over, given up, taken away.

    of a gateway that died ──> this one's      waited too long ──> failed      settled, old ──> gone

Several gateways may do it at once. Everything raises ``StoreError`` when the database is away.
"""

from sqlalchemy import ColumnElement, and_, delete, or_, select, update

from gateway.outbox.deliveries import DELIVERED, FAILED, HELD, WAITING
from gateway.store.gateways import in_turn, is_left
from gateway.store.store import Store
from gateway.store.tables import deliveries, delivery_tries

_AT_ONCE = 500
_c = deliveries.c


class Upkeep:
    """The table of deliveries, as far as it is this gateway's to look after."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def take_over(self, before: float, now: float) -> int:
        """Have brought what a gateway that died was to bring, or had held back; return how many.

        That is what this one held ``before``, in an earlier life, and all of one that is gone.
        """
        own = and_(_c.gateway == self._store.gateway, _c.state == HELD, _c.created < before)
        theirs: ColumnElement[bool] = _c.gateway.is_(None)
        if now >= self._store.sure_from:
            theirs = or_(theirs, is_left(_c.gateway, self._store, now))
        which = and_(_c.state.in_((WAITING, HELD)), or_(own, theirs))
        if not await self._store.rows(select(_c.id).where(which).limit(1)):
            return 0
        # Of several that do it at once one gets each: afterwards it is of one that is there.
        taken = update(deliveries).where(which).values(state=WAITING, gateway=self._store.gateway)
        return await self._store.commit(taken)

    async def expire(self, now: float) -> int:
        """Give up what has waited too long; return how many."""
        is_old = and_(_c.state == WAITING, _c.gateway == self._store.gateway, _c.expires < now)
        old = select(_c.id).where(is_old).limit(_AT_ONCE)
        count = 0
        while True:
            done = await self._store.commit(
                update(deliveries).where(_c.id.in_(old)).values(state=FAILED, ended=now)
            )
            count += done
            if done < _AT_ONCE:
                return count

    async def forget(self, before: float) -> int:
        """Take away what was settled before; return how many."""
        count = 0
        while True:
            rows = await self._store.rows(
                select(_c.id)
                .where(_c.state.in_((DELIVERED, FAILED)), _c.created < before, _c.ended < before)
                .limit(_AT_ONCE)
            )
            ids = [row["id"] for row in rows]
            if ids:
                count += await self._store.commit(
                    *in_turn(self._store),
                    delete(delivery_tries).where(delivery_tries.c.delivery_id.in_(ids)),
                    delete(deliveries).where(_c.id.in_(ids)),
                )
            if len(ids) < _AT_ONCE:
                return count
