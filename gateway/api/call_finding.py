"""Finds calls for the API: in memory while they live, in the database for good.

It knows by which names a call may be asked for, and whose business it is.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import or_, select, union_all

from gateway.api.caller import Caller
from gateway.api.problems import ProblemError
from gateway.calls.call import Call
from gateway.calls.registry import Calls
from gateway.calls.view import CallView
from gateway.store.call_rows import WholeCall
from gateway.store.records import CallBook
from gateway.store.store import Store, StoreError
from gateway.store.tables import attempts, calls

SETTLE_SECONDS = 0.25
"""What the newest records have to reach the database before it is asked."""

_SID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


@dataclass(frozen=True, slots=True)
class Found:
    """A call: as memory has it, and as the database has it."""

    view: CallView | None
    kept: WholeCall | None


class CallFinder:
    """Looks calls up. Without a ``store`` only what is in memory is found."""

    def __init__(self, calls: Calls, store: Store | None) -> None:
        self._calls, self._store = calls, store
        self.book = CallBook(store) if store is not None else None

    async def settle(self) -> None:
        """Give what was just said a moment to reach the database."""
        if self._store is not None:
            await self._store.flush(SETTLE_SECONDS)

    @property
    def is_behind(self) -> bool:
        """Whether the database lacks calls, since it takes no records."""
        return self._store is not None and self._store.statistics.writer.troubled

    async def live(self, name: str, who: Caller) -> Call:
        """Return the call in progress of that sid or conversation id. Raises `ProblemError`."""
        call = self._calls.get(name) or self._calls.by_conversation(name)
        # One that has ended is kept until its process has gone, too.
        if call is None or call.ended or not await self._concerns(call.sid, who):
            raise ProblemError(404, "No such call is in progress.")
        return call

    async def whole(self, name: str, who: Caller) -> Found:
        """Return a call, live or past. Raises `ProblemError`, `StoreError`."""
        sid = await self._sid(name)
        view = self._calls.find(sid)
        kept = await self._kept(sid, needed=view is None or who.company is not None)
        if view is None and kept is None:
            raise ProblemError(404, "No such call is known.")
        if who.company is not None and (kept is None or not who.of(kept.call.company_id)):
            raise ProblemError(404, "No such call is known.")
        return Found(view, kept)

    async def sid(self, name: str, who: Caller) -> str:
        """Return the sid of a call, live or past, that may be shown. Raises `ProblemError`."""
        sid = await self._sid(name)
        if self._calls.find(sid) is None and not await self._is_kept(sid):
            raise ProblemError(404, "No such call is known.")
        if not await self._concerns(sid, who):
            raise ProblemError(404, "No such call is known.")
        return sid

    async def _sid(self, name: str) -> str:
        if not _SID.fullmatch(name):
            raise ProblemError(404, "No such call is known.")
        call = self._calls.by_conversation(name)
        if call is not None:
            return call.sid
        if self._calls.find(name) is not None or self._store is None:
            return name
        either = or_(calls.c.sid == name, calls.c.conversation_id == name)
        rows = await self._store.rows(select(calls.c.sid).where(either).limit(1))
        return str(rows[0]["sid"]) if rows else name

    async def _kept(self, sid: str, *, needed: bool) -> WholeCall | None:
        if self.book is None:
            return None
        await self.settle()
        try:
            return await self.book.call(sid)
        except StoreError:
            if needed:
                raise
            return None

    async def _is_kept(self, sid: str) -> bool:
        if self._store is None:
            return False
        await self.settle()
        return bool(await self._store.rows(select(calls.c.sid).where(calls.c.sid == sid)))

    async def own(self, sids: Collection[str], who: Caller) -> frozenset[str]:
        """Return those of ``sids`` that are the caller's business. Raises `StoreError`."""
        if who.company is None:
            return frozenset(sids)
        if self._store is None or not sids:
            return frozenset()
        await self.settle()
        of_calls = select(calls.c.sid).where(
            calls.c.sid.in_(sids), calls.c.company_id == who.company
        )
        of_attempts = select(attempts.c.call_sid.label("sid")).where(
            attempts.c.call_sid.in_(sids), attempts.c.company_id == who.company
        )
        rows = await self._store.rows(union_all(of_calls, of_attempts))
        return frozenset(str(row["sid"]) for row in rows)

    async def _concerns(self, sid: str, who: Caller) -> bool:
        return sid in await self.own([sid], who)
