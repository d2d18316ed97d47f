"""Many calls, one after the other, as one request: a campaign behind a job.

    numbers ──> campaign (one call at a time) ──ended soon──> 200, one result for each number
                       └──────────not so soon──────────────> 202, a job to ask for them

A job is in the database with its campaign: it is there, and goes on, whatever happens to the
gateway and to who asked. With a key both have ids that come from it: the same request, sent again,
finishes what the first has begun, and is answered as it would have been.
"""

import asyncio
import secrets
import time
from collections.abc import Sequence
from weakref import WeakValueDictionary

import msgspec
from sqlalchemy import select
from starlette.responses import Response

from gateway.api.caller import Caller
from gateway.api.repeats import id_of, other_request
from gateway.campaigns.admission import Candidate
from gateway.campaigns.policy import Policy
from gateway.campaigns.service import MOST_ADDED, Campaigns
from gateway.campaigns.states import CampaignState, LeadState
from gateway.campaigns.views import CampaignView, LeadView
from gateway.store.change import statement_of
from gateway.store.company import Company
from gateway.store.store import Store, StoreError, Upsert
from gateway.store.tables import jobs

KIND = "bulk-calls-sequential"

ANSWER_SECONDS = 8.0
"""How long a request stays open for its calls; the clients of the time give up after some ten."""

SETTLE_SECONDS = 1.0

USUAL_CALL_SECONDS = 600

DONE = "Bulk calls processed sequentially"

_UNDER_WAY = "Calls are made one after the other"
_MESSAGES = {
    CampaignState.RUNNING.value: _UNDER_WAY,
    CampaignState.COMPLETED.value: DONE,
    CampaignState.PAUSED.value: "Paused: callfarm campaign resume goes on",
    CampaignState.CANCELLED.value: "Cancelled",
}

_PAGE = 500


class CallResult(msgspec.Struct, rename="camel"):
    """What came of one number: the carrier's last word, or why it was not called."""

    phone_number: str
    status: str
    call_sid: str | msgspec.UnsetType | None = msgspec.UNSET
    join_url: str | msgspec.UnsetType | None = msgspec.UNSET
    error: str | msgspec.UnsetType = msgspec.UNSET


class BulkDone(msgspec.Struct, rename="camel"):
    """All calls have ended. The results are in the order of the numbers."""

    message: str
    total_calls: int
    call_results: list[CallResult]


class BulkStarted(msgspec.Struct, rename="camel"):
    """The calls are being made, one after the other: ask at ``statusUrl``."""

    message: str
    total_calls: int
    job_id: str
    status_url: str


class BulkJob(msgspec.Struct, rename="camel"):
    """How a job fares: ``running``, ``completed``, or a state of its campaign."""

    job_id: str
    state: str
    message: str
    total_calls: int
    call_results: list[CallResult]


class _Kept(msgspec.Struct):
    """What is kept of a job. ``refused`` are rows that were not taken, and why.

    A job that is not ``filled`` was cut off before all numbers were its campaign's.
    """

    campaign: str
    company: int
    numbers: list[str]
    refused: dict[str, str]
    filled: bool = True


class BulkCalls:
    """Makes campaigns of lists of numbers, and tells what came of them."""

    def __init__(self, store: Store, campaigns: Campaigns) -> None:
        self._store, self._campaigns = store, campaigns
        self._orders: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """One request at a time makes the things of a mark."""

    async def call(
        self,
        company: Company,
        numbers: Sequence[str],
        most_seconds: int | None = None,
        patience: float = ANSWER_SECONDS,
        key: str | None = None,
    ) -> object:
        """Call ``numbers`` in their order; return what is answered, after ``patience`` at most.

        With a ``key`` they are called once, however often that is asked. Raises `StoreError`,
        `CampaignError`, `DialError`, and `ProblemError` for a key that was used for others.
        """
        policy = Policy(
            agent=company.agent,
            max_seconds=most_seconds or USUAL_CALL_SECONDS,
            breaker_calls=0,
        )
        mark = secrets.token_hex(12) if key is None else id_of(KIND, company.id, key)
        job = "job_" + mark
        async with self._orders.setdefault(mark, asyncio.Lock()):
            kept = await self._ordered(mark, company.id, numbers, policy)
        is_begun = len(kept.refused) < len(numbers)
        if is_begun and not await self._campaigns.finished(kept.campaign, patience):
            return _started(job, len(numbers))
        shown = await self._shown(job, kept)
        if shown.state != CampaignState.COMPLETED:
            return _started(job, len(numbers))
        return BulkDone(DONE, shown.total_calls, shown.call_results)

    async def job(self, job: str, who: Caller) -> BulkJob | None:
        """Return how a job fares, ``None`` if there is none for ``who``. Raises `StoreError`."""
        if "\x00" in job:
            return None
        rows = await self._store.rows(select(jobs).where(jobs.c.id == job, jobs.c.kind == KIND))
        if not rows:
            return None
        kept = msgspec.convert(rows[0]["body"], _Kept)
        return await self._shown(job, kept) if who.of(kept.company) else None

    async def _ordered(
        self, mark: str, company: int, numbers: Sequence[str], policy: Policy
    ) -> _Kept:
        """Have the campaign and the job of a mark be there, and begin, if they do not yet."""
        campaign = await self._campaign("c" + mark, company, policy)
        rows = await self._store.rows(select(jobs).where(jobs.c.id == "job_" + mark))
        if rows:
            kept = msgspec.convert(rows[0]["body"], _Kept)
        else:
            kept = _Kept(campaign.id, company, list(numbers), {}, filled=False)
            await self._keep("job_" + mark, kept)
        if kept.numbers != list(numbers):
            raise other_request("list of numbers")
        if not kept.filled:
            kept.refused, kept.filled = await self._filled(campaign.id, numbers), True
            await self._keep("job_" + mark, kept)
        if campaign.state == CampaignState.DRAFT and len(kept.refused) < len(numbers):
            await self._campaigns.start(campaign.id)
        return kept

    async def _campaign(self, campaign: str, company: int, policy: Policy) -> CampaignView:
        try:
            return await self._campaigns.create(KIND, policy, company, campaign)
        except StoreError as error:
            if not error.taken:
                raise
        return await self._campaigns.get(campaign)

    async def _filled(self, campaign: str, numbers: Sequence[str]) -> dict[str, str]:
        """Add the numbers to a campaign; return which rows it would not have."""
        refused: dict[str, str] = {}
        for start in range(0, len(numbers), MOST_ADDED):
            part = [Candidate(number) for number in numbers[start : start + MOST_ADDED]]
            # Those that are there stay as they are, if a request before this one was cut off.
            first = start - len(refused)
            added = await self._campaigns.add(
                campaign, part, first=first, skip_bad=True, repeats=True
            )
            refused |= {str(start + it.row): it.reason for it in added.refused}
        return refused

    async def _keep(self, job: str, kept: _Kept) -> None:
        row = {
            "id": job,
            "kind": KIND,
            "state": "running",
            "body": msgspec.to_builtins(kept),
            "created": time.time(),
        }
        dialect = self._store.engine.dialect.name
        await self._store.commit(statement_of(Upsert("jobs", row), dialect))

    async def _shown(self, job: str, kept: _Kept) -> BulkJob:
        await self._store.flush(SETTLE_SECONDS)  # the last call's end may still be on its way
        leads = await self._leads(kept.campaign)
        results = []
        of_leads = iter(leads)
        for row, number in enumerate(kept.numbers):
            reason = kept.refused.get(str(row))
            if reason is not None:
                results.append(_not_called(number, reason))
            else:
                lead = next(of_leads, None) if kept.filled else None
                results.append(_result(number, lead))
        state, message = CampaignState.COMPLETED.value, DONE
        if leads or not kept.filled:
            campaign = await self._campaigns.get(kept.campaign)
            state, message = campaign.state, campaign.why or _MESSAGES.get(campaign.state, "")
        return BulkJob(job, state, message, len(kept.numbers), results)

    async def _leads(self, campaign: str) -> list[LeadView]:
        found: list[LeadView] = []
        after: int | None = -1
        while after is not None:
            page = await self._campaigns.leads(campaign, after, _PAGE)
            found += page.leads
            after = page.next
        return found


def patience(prefer: str) -> float:
    """Return how long a request stays open: ``Prefer: wait=2``, or ``respond-async`` (RFC 7240)."""
    for wish in prefer.lower().split(","):
        name, _, value = wish.strip().partition("=")
        if name == "respond-async":
            return 0.0
        if name == "wait" and value.strip('"').isdecimal():
            return min(float(value.strip('"')[:6]), ANSWER_SECONDS)
    return ANSWER_SECONDS


def _result(number: str, lead: LeadView | None) -> CallResult:
    if lead is None:
        return CallResult(number, "queued", None, None)
    if lead.call_sid and (lead.status or not LeadState(lead.state).final):
        return CallResult(number, lead.status or "initiated", lead.call_sid, None)
    if LeadState(lead.state).final:
        return _not_called(number, lead.error or lead.outcome or lead.state)
    return CallResult(number, "queued", None, None)


def _not_called(number: str, why: str) -> CallResult:
    return CallResult(number, "initiation_error", error=why)


def _started(job: str, total: int) -> Response:
    url = f"/api/jobs/{job}"
    body = BulkStarted(_UNDER_WAY, total, job, url)
    answer = Response(msgspec.json.encode(body), 202, media_type="application/json")
    answer.headers["Location"] = url
    return answer
