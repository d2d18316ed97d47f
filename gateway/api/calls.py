"""Calls, live and past: lists, one call, its transcript."""

from typing import Annotated, Literal

import msgspec

from gateway.api.call_finding import CallFinder
from gateway.api.call_shown import (
    CallDetails,
    CallPageShown,
    CallShown,
    LineShown,
    Transcript,
    details,
    of_row,
    of_view,
)
from gateway.api.caller import Caller, Scope
from gateway.api.endpoint import Asked, Endpoint, NoQuery
from gateway.api.moments import Moment, moment
from gateway.api.problems import ProblemError
from gateway.calls.registry import Calls
from gateway.calls.state import CallState
from gateway.calls.view import CallView
from gateway.dialer.numbers import queried
from gateway.store.call_rows import CallQuery, CallRow
from gateway.store.records import CursorError
from gateway.store.store import StoreError

USUAL_PAGE = 50
MOST_ON_A_PAGE = 200
MOST_LIVE = 500
"""Calls of one company or campaign among which those in progress are looked for."""

Word = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\x00]*$")]
Number = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
Outcome = Literal[
    "completed",
    "transferred",
    "transfer-failed",
    "abandoned",
    "no-stream",
    "failed",
    "rejected",
    "busy",
    "no-answer",
    "canceled",
    "lost",
]
"""How a call ended; see docs/records.md."""


class CallsQuery(msgspec.Struct, forbid_unknown_fields=True, rename={"from_": "from"}):
    """Which calls: those that are all of this. ``number`` is on either side.

    Those in progress (``live``) are listed whole unless there is a ``limit``.
    """

    live: bool | None = None
    state: CallState | None = None
    direction: Word | None = None
    from_: Word | None = None
    to: Word | None = None
    number: Word | None = None
    agent: Word | None = None
    outcome: Outcome | None = None
    since: Moment | None = None
    until: Moment | None = None
    company: Number | None = None
    campaign: Word | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_ON_A_PAGE)] | None = None
    cursor: Word | None = None


class CallsSection:
    """Reading calls."""

    tag = "calls"

    def __init__(self, calls: Calls, finder: CallFinder) -> None:
        self._calls, self._finder = calls, finder

    def endpoints(self) -> list[Endpoint]:
        """Return its rows of the table."""
        one = "/api/calls/{sid}"
        return [
            Endpoint(
                method="GET",
                path="/api/calls",
                scope=Scope.READ,
                handler=self._list,
                summary="List calls, live and past, the newest first.",
                query=CallsQuery,
                answer=CallPageShown,
            ),
            Endpoint(
                method="GET",
                path=one,
                scope=Scope.READ,
                handler=self._show,
                summary="Show one call; its SID, or what its service calls the conversation.",
                answer=CallDetails,
                refusals=(404,),
            ),
            Endpoint(
                method="GET",
                path=one + "/transcript",
                scope=Scope.READ,
                handler=self._transcript,
                summary="What was said in a call, as heard.",
                answer=Transcript,
                refusals=(404,),
            ),
        ]

    async def _list(self, asked: Asked[CallsQuery, None]) -> CallPageShown:
        query, book = _plus(asked.query), self._finder.book
        wanted = _kept_query(query, asked.who)
        if query.live:
            return await self._in_progress(query, wanted, asked.who)
        if book is None:
            return self._remembered(query, partial=False)
        await self._finder.settle()
        try:
            page = await book.page(wanted, query.cursor, query.limit or USUAL_PAGE)
        except CursorError as error:
            raise ProblemError(422, f"{error}.") from error
        except StoreError as error:
            if not error.away or asked.who.company is not None:
                raise
            return self._remembered(query, partial=True)
        shown = [self._shown(row) for row in page.calls]
        if query.live is False:
            shown = [call for call in shown if not call.live]
        return CallPageShown(shown, page.next, self._finder.is_behind)

    async def _in_progress(
        self, query: CallsQuery, wanted: CallQuery, who: Caller
    ) -> CallPageShown:
        """List calls in progress: they are in memory, whatever the database does."""
        shown = [of_view(it) for it in self._calls.views() if not it.ended and _fits(it, query)]
        if query.company or query.campaign or query.outcome or who.company:
            kept = await self._kept(wanted)
            shown = [_both(call, kept[call.sid]) for call in shown if call.sid in kept]
        return CallPageShown(shown[: query.limit])

    async def _kept(self, wanted: CallQuery) -> dict[str, CallShown]:
        """Return the newest calls of which only the database knows whose they are."""
        book = self._finder.book
        if book is None:
            return {}
        await self._finder.settle()
        page = await book.page(wanted, None, MOST_LIVE)
        return {row.sid: of_row(row) for row in page.calls}

    def _remembered(self, query: CallsQuery, *, partial: bool) -> CallPageShown:
        if query.outcome or query.company or query.campaign or query.cursor:
            return CallPageShown([], None, partial)
        views = (it for it in self._calls.views() if _fits(it, query))
        shown = [of_view(it) for it in views if query.live is None or it.ended]
        return CallPageShown(shown[: query.limit or USUAL_PAGE], None, partial)

    def _shown(self, row: CallRow) -> CallShown:
        """Return a kept call. Where it stands is in memory alone at times."""
        view = self._calls.find(row.sid)
        if view is None:
            return of_row(row)
        call = of_row(row, live=not view.ended)
        call.state, call.pid = view.state, view.pid
        if view.ended and row.ended is None:
            call.ended, call.reason = view.ended, view.reason
        return call

    async def _show(self, asked: Asked[NoQuery, None]) -> CallDetails:
        found = await self._finder.whole(asked.path["sid"], asked.who)
        return details(found.view, found.kept)

    async def _transcript(self, asked: Asked[NoQuery, None]) -> Transcript:
        found = await self._finder.whole(asked.path["sid"], asked.who)
        whole = details(found.view, found.kept)
        lines: list[LineShown] = whole.lines
        return Transcript(whole.sid, whole.live, lines)


def _plus(query: CallsQuery) -> CallsQuery:
    """Return the query with the numbers' ``+``, which is a space by now if nobody encoded it."""
    for name in ("from_", "to", "number"):
        if (given := getattr(query, name)) is not None:
            setattr(query, name, queried(given))
    return query


def _kept_query(query: CallsQuery, who: Caller) -> CallQuery:
    if who.company is not None and query.company not in (None, who.company):
        raise ProblemError(403, f"This token is company {who.company}'s alone.")
    return CallQuery(
        direction=query.direction,
        number=query.number,
        from_number=query.from_,
        to_number=query.to,
        agent=query.agent,
        state=query.state.value if query.state is not None else None,
        outcome=query.outcome,
        company_id=who.company if who.company is not None else query.company,
        campaign_id=query.campaign,
        began_from=moment(query.since) if query.since is not None else None,
        began_to=moment(query.until) if query.until is not None else None,
    )


def _fits(view: CallView, query: CallsQuery) -> bool:
    """Tell whether a call of the memory is one of those that are asked for."""
    equal = (
        (query.state.value if query.state is not None else None, view.state),
        (query.direction, view.direction),
        (query.from_, view.from_),
        (query.to, view.to),
        (query.agent, view.agent),
    )
    return (
        all(wanted is None or wanted == it for wanted, it in equal)
        and query.number in (None, view.from_, view.to)
        and (query.since is None or view.began >= moment(query.since))
        and (query.until is None or view.began < moment(query.until))
    )


def _both(live: CallShown, kept: CallShown) -> CallShown:
    for name in ("company", "campaign", "outcome", "answered", "answered_by", "status"):
        setattr(live, name, getattr(kept, name))
    return live
