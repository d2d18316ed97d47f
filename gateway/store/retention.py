"""Takes away what is older than it may be: calls with all that hangs on them, files included, and
campaigns that have ended, with their leads.

A call stays as long as it is live, or a recording of it is on its way to being whole. A few hundred
rows at a time, so that nothing else waits long for its turn at the database.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
from sqlalchemy import (
    ColumnElement,
    Executable,
    Table,
    and_,
    delete,
    func,
    or_,
    select,
    tuple_,
    update,
)

from gateway.store.gateways import in_turn
from gateway.store.recording_files import remove_files
from gateway.store.store import Store, StoreError
from gateway.store.tables import (
    attempts,
    calls,
    campaigns,
    carrier_lines,
    deliveries,
    delivery_tries,
    jobs,
    leads,
    lines,
    recordings,
    tool_calls,
    turns,
)

log = structlog.get_logger(__name__)

DAY_SECONDS = 86_400.0

_AT_ONCE = 200
_REST_SECONDS = 0.02

_LATE_SECONDS = 30 * DAY_SECONDS
"""After which a carrier tells nothing of a recording any more."""

_UNFINISHED = ("in-progress", "paused", "stopped", "processing")
"""Statuses of a recording whose file is still to come or to be told of, for a day at most."""


@dataclass(slots=True)
class Pruned:
    """What went, or would go."""

    calls: int = 0
    recordings: int = 0
    deliveries: int = 0
    attempts: int = 0
    jobs: int = 0
    campaigns: int = 0
    files_left: int = 0
    """Recordings' files that could not be removed, or are another gateway's to remove: their rows
    stay, and so do their calls."""


async def count_older(store: Store, before: float, live: Collection[str] = ()) -> Pruned:
    """Return what `prune` would take. Raises ``StoreError``."""
    going = _over(before, live)
    old, orphans = select(calls.c.sid).where(going), _orphans(before, live)
    return Pruned(
        calls=await _count(store, calls, going),
        recordings=await _count(store, recordings, or_(recordings.c.call_sid.in_(old), orphans)),
        deliveries=await _count(
            store, deliveries, or_(deliveries.c.call_sid.in_(old), _settled(before))
        ),
        attempts=await _count(store, attempts, attempts.c.ended < before),
        jobs=len(await _jobs(store, before)),
        campaigns=await _count(store, campaigns, campaigns.c.ended < before),
    )


async def prune(store: Store, before: float, data_dir: Path, live: Collection[str] = ()) -> Pruned:
    """Take away calls that began ``before`` (Unix seconds), and what ended before without one.

    Those in ``live`` stay: calls in progress, and those whose recording is being written. Files of
    recordings go first: without a row nobody would find them again. Raises ``StoreError``; what
    went by then is gone.
    """
    done = Pruned()
    going = _over(before, live)
    place: tuple[float, str] = (float("-inf"), "")
    while batch := await _oldest(store, going, place):
        place = batch[-1]
        await _take(store, [sid for _, sid in batch], data_dir, done)
        await asyncio.sleep(_REST_SECONDS)
    await _take_orphans(store, _orphans(before, live), data_dir, done)
    await _take_deliveries(store, _settled(before), done)
    done.attempts = await _take_slices(store, attempts, attempts.c.ended < before)
    for job in await _jobs(store, before):
        done.jobs += await store.commit(delete(jobs).where(jobs.c.id == job))
    await _take_campaigns(store, campaigns.c.ended < before, done)
    await _take_left(store, before)
    return done


async def prune_daily(
    store: Store, days: float, data_dir: Path, live: Callable[[], Collection[str]] = tuple
) -> None:
    """Prune once a day, until cancelled. What fails is tried again the next day."""
    while True:
        try:
            done = await prune(store, time.time() - days * DAY_SECONDS, data_dir, live())
        except StoreError as error:
            log.warning("old records stay for now", reason=error.sentence)
        else:
            if done.calls or done.recordings:
                log.info("old records are gone", calls=done.calls, recordings=done.recordings)
        await asyncio.sleep(DAY_SECONDS)


def _over(before: float, live: Collection[str]) -> ColumnElement[bool]:
    """Calls that began ``before``, and are no longer in progress as far as anybody can tell."""
    c, day_ago = calls.c, time.time() - DAY_SECONDS
    unfinished = select(recordings.c.id).where(
        recordings.c.call_sid == c.sid,
        recordings.c.status.in_(_UNFINISHED),
        recordings.c.created > day_ago,
    )
    over = or_(c.ended.is_not(None), c.began < day_ago)
    return and_(c.began < before, over, c.sid.not_in(live), ~unfinished.exists())


def _orphans(before: float, live: Collection[str]) -> ColumnElement[bool]:
    """Recordings from ``before`` whose call nobody knows, or knows any more."""
    r = recordings.c
    known = select(calls.c.sid).where(calls.c.sid == r.call_sid)
    return and_(r.created < before, r.call_sid.not_in(live), ~known.exists(), ~_kept_out())


def _kept_out() -> ColumnElement[bool]:
    """Recordings of which nothing is left but that they are deleted, lest the carrier's come back.

    It may tell of one when its call is gone, and would have it fetched.
    """
    r = recordings.c
    late = r.created > time.time() - _LATE_SECONDS
    return and_(r.kind == "carrier", r.status == "deleted", r.path.is_(None), late)


def _taken(which: ColumnElement[bool]) -> tuple[Executable, ...]:
    """Return what takes recordings away whose files are gone."""
    r = recordings.c
    late = and_(which, r.kind == "carrier", r.created > time.time() - _LATE_SECONDS)
    nothing = {"status": "deleted", "path": None, "url": None, "size": None, "seconds": None}
    return (
        update(recordings).where(late).values(nothing),
        delete(recordings).where(which, ~_kept_out()),
    )


async def _oldest(
    store: Store, going: ColumnElement[bool], place: tuple[float, str]
) -> list[tuple[float, str]]:
    c = calls.c
    wanted = select(c.began, c.sid).where(going)
    if place[1]:
        wanted = wanted.where(c.began >= place[0], or_(c.began > place[0], c.sid > place[1]))
    rows = await store.rows(wanted.order_by(c.began, c.sid).limit(_AT_ONCE))
    return [(row["began"], row["sid"]) for row in rows]


async def _take(store: Store, sids: Sequence[str], data_dir: Path, done: Pruned) -> None:
    r = recordings.c
    wanted = select(r.id, r.call_sid, r.path, r.gateway)
    kept = await store.rows(wanted.where(r.call_sid.in_(sids)))
    left = await remove_files(store, kept, data_dir)
    done.files_left += len(left)
    stay = {row["call_sid"] for row in kept if row["id"] in left}
    gone = [sid for sid in sids if sid not in stay]
    done.recordings += sum(row["call_sid"] not in stay for row in kept)
    await _take_deliveries(store, deliveries.c.call_sid.in_(gone), done)
    hanging = (lines, turns, tool_calls, carrier_lines)
    done.calls += await store.commit(
        *in_turn(store),
        *_taken(r.call_sid.in_(gone)),
        *(delete(table).where(table.c.call_sid.in_(gone)) for table in hanging),
        delete(calls).where(calls.c.sid.in_(gone)),
    )


async def _take_orphans(
    store: Store, which: ColumnElement[bool], data_dir: Path, done: Pruned
) -> None:
    r, last = recordings.c, ""
    wanted = select(r.id, r.path, r.gateway).where(which).order_by(r.id).limit(_AT_ONCE)
    while rows := await store.rows(wanted.where(r.id > last)):
        last = rows[-1]["id"]
        left = await remove_files(store, rows, data_dir)
        done.files_left += len(left)
        gone = [row["id"] for row in rows if row["id"] not in left]
        await store.commit(*in_turn(store), *_taken(r.id.in_(gone)))
        done.recordings += len(gone)
        await asyncio.sleep(_REST_SECONDS)


async def _take_left(store: Store, before: float) -> None:
    """Take away what the carrier has told ``before`` of a call that was gone by then."""
    c, last = carrier_lines.c, ""
    known = select(calls.c.sid).where(calls.c.sid == c.call_sid).exists()
    wanted = select(c.id).where(c.at < before, ~known).order_by(c.id).limit(_AT_ONCE)
    while rows := await store.rows(wanted.where(c.id > last)):
        last = rows[-1]["id"]
        gone = [row["id"] for row in rows]
        await store.commit(*in_turn(store), delete(carrier_lines).where(c.id.in_(gone)))
        await asyncio.sleep(_REST_SECONDS)


async def _take_deliveries(store: Store, which: ColumnElement[bool], done: Pruned) -> None:
    ids = select(deliveries.c.id).where(which)
    done.deliveries += await store.commit(
        *in_turn(store),
        delete(delivery_tries).where(delivery_tries.c.delivery_id.in_(ids)),
        delete(deliveries).where(which),
    )


async def _take_campaigns(store: Store, which: ColumnElement[bool], done: Pruned) -> None:
    while rows := await store.rows(select(campaigns.c.id).where(which).limit(1)):
        campaign = rows[0]["id"]
        await _take_slices(store, leads, leads.c.campaign_id == campaign)
        done.campaigns += await store.commit(
            *in_turn(store), delete(campaigns).where(campaigns.c.id == campaign)
        )


async def _jobs(store: Store, before: float) -> list[str]:
    """Return the jobs made ``before`` whose campaign has ended ``before``, or is gone."""
    goes_on = select(campaigns.c.id).where(
        campaigns.c.id == jobs.c.body["campaign"].as_string(),
        or_(campaigns.c.ended.is_(None), campaigns.c.ended >= before),
    )
    rows = await store.rows(select(jobs.c.id).where(jobs.c.created < before, ~goes_on.exists()))
    return [row["id"] for row in rows]


async def _take_slices(store: Store, table: Table, which: ColumnElement[bool]) -> int:
    """Take rows away some at a time; return how many."""
    key = tuple(table.primary_key)
    wanted = select(*key).where(which).limit(_AT_ONCE)
    count = 0
    slice_ = delete(table).where(tuple_(*key).in_(wanted))
    while gone := await store.commit(*in_turn(store), slice_):
        count += gone
        await asyncio.sleep(_REST_SECONDS)
    return count


async def _count(store: Store, table: Table, which: ColumnElement[bool]) -> int:
    rows = await store.rows(select(func.count().label("n")).select_from(table).where(which))
    return int(rows[0]["n"])


def _settled(before: float) -> ColumnElement[bool]:
    return (deliveries.c.created < before) & deliveries.c.state.in_(("delivered", "failed"))
