"""Fetches what was said in calls that Ultravox held, once they are over, and has it written down.

    the registry: over, no line ──┐
    a webhook: call.ended ────────┼──> job ──asks, again and again──> lines, tools
    at the start: owed ───────────┘     └── refused, or too late ───> nothing

A call's messages do not change any more when it is over (Ultravox' documentation, "Available
webhooks"), so a job waits for that: a webhook says so at once, else the call itself is asked.
One job a call, however often it is told of. Nothing here is on the audio's way.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import structlog

from gateway.calls.call import Call
from gateway.outbox.event import Event
from gateway.store.store import StoreError
from gateway.ultravox.accounts import Accounts
from gateway.ultravox.conversation import (
    Conversation,
    Message,
    NonsenseError,
    page_of,
    read,
)
from gateway.ultravox.job import Job, LedgerSink, RecordSink
from gateway.ultravox.ledger import Ledger, Owed, is_ultravox
from gateway.ultravox.places import Places
from gateway.ultravox.recent_ids import RecentIds
from gateway.ultravox.rest import Access, UltravoxError, UltravoxRest

log = structlog.get_logger(__name__)

MOST_JOBS = 2000
"""Calls that wait for their transcripts; of one more it is not asked."""

PAGE = 50
MOST_PAGES = 80
MOST_TEXT = 2 << 20
"""Letters of one call that are read."""

READING_SECONDS = 60.0
"""What reading all of one call may take, so that it gives its place to another."""

_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class TranscriptRules:
    """How patient a job is. Times in seconds; waiting doubles from ``first`` to ``longest``."""

    first: float = 0.5
    longest: float = 30.0
    patience: float = 600.0
    back: float = _DAY
    """How far back calls of an earlier life are looked up."""
    retry: float = 2.0
    """Between two tries of a database that is away."""


class Transcripts:
    """All such calls of one gateway. ``run`` is its life; ``tell`` posts an event."""

    def __init__(
        self,
        rest: UltravoxRest,
        accounts: Accounts,
        ledger: Ledger,
        company_of: Callable[[Call], int | None],
        tell: Callable[[Event], object],
        most_call_seconds: float = 3600.0,
        rules: TranscriptRules | None = None,
    ) -> None:
        self._rest, self._accounts, self._ledger = rest, accounts, ledger
        self._company_of, self._tell = company_of, tell
        self._most_call, self._rules = most_call_seconds, rules or TranscriptRules()
        self._jobs: dict[str, Job] = {}
        self._new: asyncio.Queue[Job | str] = asyncio.Queue(MOST_JOBS)
        self._heard, self._done = RecentIds(), RecentIds()
        """Over there, and not here yet; and those whose transcript was fetched."""
        self._places = Places()
        self._began = time.time()

    # What happens ------------------------------------------------------------------------------

    def call_over(self, call: Call) -> None:
        """A call is over: what a service heard of it, and nobody wrote down, is to be fetched."""
        conversation_id, it = call.notes.conversation_id, call.elsewhere
        sink = RecordSink(call)
        held = it is not None and it.has_joined and is_ultravox(conversation_id)
        if not held or call.notes.lines or conversation_id in self._jobs:
            sink.over()
            return
        until = asyncio.get_running_loop().time() + self._rules.patience
        company = self._company_of(call)
        over_there = self._heard.take(conversation_id)
        job = Job(call.sid, conversation_id, company, sink, until, over_there)
        if not self._begin(job):
            sink.over()

    def ended(self, conversation_id: str) -> bool:
        """Ultravox says that a call is over; false if that cannot be seen to now."""
        job = self._jobs.get(conversation_id)
        if job is not None:
            job.is_over_there = True
            job.woken.set()
            return True
        if conversation_id in self._done:
            return True
        self._heard.add(conversation_id)
        try:
            self._new.put_nowait(conversation_id)
        except asyncio.QueueFull:
            return False
        return True

    def _begin(self, job: Job) -> bool:
        if len(self._jobs) < MOST_JOBS:
            with suppress(asyncio.QueueFull):
                self._new.put_nowait(job)
                self._jobs[job.conversation_id] = job
                return True
        log.warning("no transcript: too many calls wait for theirs", call_sid=job.sid)
        return False

    async def settle(self, seconds: float) -> bool:
        """Wait until each call of this life has what it waits for, for ``seconds`` at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._is_owing():  # noqa: ASYNC110 - at the end, and for a moment
                    await asyncio.sleep(0.05)
        return not self._is_owing()

    def _is_owing(self) -> bool:
        return any(isinstance(job.sink, RecordSink) for job in self._jobs.values())

    # Its life ----------------------------------------------------------------------------------

    async def run(self, live: Callable[[], Collection[str]]) -> None:
        """Fetch until cancelled. ``live`` are the calls in progress."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_safely(self._look_back(live)))
            while True:
                it = await self._new.get()
                work = self._do(it) if isinstance(it, Job) else self._look_up(it, live)
                tasks.create_task(_safely(work))

    async def _look_back(self, live: Callable[[], Collection[str]]) -> None:
        """Ask about the calls of an earlier life."""
        rules, owed = self._rules, None
        while owed is None:
            try:
                owed = await self._ledger.owed(self._began - rules.back, self._began, live())
            except StoreError:
                await asyncio.sleep(rules.retry)
        for it in owed:
            # It may go on there: its caller does not need us.
            left = it.began + self._most_call - time.time()
            self._begin_owed(it, max(left, 0.0) + rules.patience)

    async def _look_up(self, conversation_id: str, live: Callable[[], Collection[str]]) -> None:
        """Ask about a call that a webhook named, if it is ours and lacks its lines."""
        try:
            it = await self._ledger.find(conversation_id)
        except StoreError:
            return  # at the next start it is looked up again
        if it is not None and it.sid not in live():
            self._begin_owed(it, self._rules.patience)

    def _begin_owed(self, it: Owed, seconds: float) -> None:
        if it.conversation_id in self._jobs or it.conversation_id in self._done:
            return
        until = asyncio.get_running_loop().time() + seconds
        sink = LedgerSink(self._ledger, it, self._tell)
        over = self._heard.take(it.conversation_id)
        self._begin(Job(it.sid, it.conversation_id, it.company, sink, until, over))

    # One call ------------------------------------------------------------------------------------

    async def _do(self, job: Job) -> None:
        try:
            await _safely(self._fetch(job))
        finally:
            self._jobs.pop(job.conversation_id, None)
        job.sink.over()

    async def _fetch(self, job: Job) -> None:
        loop, wait, why = asyncio.get_running_loop(), self._rules.first, ""
        while True:
            pause, is_last = wait, loop.time() + wait > job.until
            try:
                found = await self._found(job, is_last)
                if found is not None:
                    await job.sink.take(found)
                    self._done.add(job.conversation_id)
                    log.info("transcript fetched", call_sid=job.sid, lines=len(found.lines))
                    return
                why = "the conversation goes on"
            except UltravoxError as error:
                why, pause = error.sentence, max(wait, error.wait or 0.0)
                if error.is_hopeless:
                    break
            except StoreError:
                why = "the database is away"
            if is_last:
                break
            with suppress(TimeoutError):
                async with asyncio.timeout(min(pause, max(job.until - loop.time(), wait))):
                    await job.woken.wait()
            job.woken.clear()
            wait = min(2 * wait, self._rules.longest)
        log.warning("no transcript of a call at Ultravox", call_sid=job.sid, why=why)

    async def _found(self, job: Job, is_last: bool) -> Conversation | None:
        """Return what was said, ``None`` while there may be more, unless it ``is_last``.

        Raises `UltravoxError` and ``StoreError``.
        """
        accesses = await self._accounts.of_call(job.company)
        if not accesses:
            raise UltravoxError("there is no key: set ULTRAVOX_API_KEY", 401)
        for number, access in enumerate(accesses, 1):
            try:
                async with self._places.of(access), asyncio.timeout(READING_SECONDS):
                    return await self._asked(job, access, is_last)
            except UltravoxError as error:
                if not error.is_hopeless or number == len(accesses):
                    raise
            except TimeoutError:
                sentence = f"Ultravox has not told it all within {READING_SECONDS:g} s"
                raise UltravoxError(sentence) from None
        return None

    async def _asked(self, job: Job, access: Access, is_last: bool) -> Conversation | None:
        if not job.is_over_there:
            shown = await self._rest.get(access, _path(job))
            if not isinstance(shown, dict):
                raise UltravoxError("Ultravox has told nonsense of a call")
            if not is_direct(shown):
                return Conversation()  # what of it was heard is known here, and better
            job.is_over_there = bool(shown.get("ended"))
            if not (job.is_over_there or is_last):
                return None
        messages = await self._messages(job, access)
        off_loop = len(messages) > PAGE
        found = await asyncio.to_thread(read, messages) if off_loop else read(messages)
        if not found.lines and job.doubts and not is_last:
            job.doubts -= 1
            return None
        return found

    async def _messages(self, job: Job, access: Access) -> list[Message]:
        """Return the messages of all stages. Raises `UltravoxError`."""
        found, cursor, letters = list[Message](), "", 0
        for _ in range(MOST_PAGES):
            query = {"mode": "in_call", "pageSize": str(PAGE)}
            if cursor:
                query["cursor"] = cursor
            answer = await self._rest.get(access, f"{_path(job)}/messages", query)
            try:
                messages, cursor = page_of(answer)
            except NonsenseError:
                raise UltravoxError("Ultravox has told nonsense of a call") from None
            found += messages
            letters += sum(len(it.text or "") for it in messages)
            if not cursor or letters > MOST_TEXT:
                break
        return found


async def _safely(work: Awaitable[None]) -> None:
    """Do one call's work: whatever becomes of it, that of the others goes on."""
    try:
        await work
    except Exception:
        log.exception("a transcript of a call at Ultravox is not fetched")


def is_direct(shown: Mapping[str, Any]) -> bool:
    """Tell whether a call, as Ultravox shows it, has a carrier at its other end."""
    medium = shown.get("medium")
    return not isinstance(medium, dict) or not medium or "twilio" in medium


def _path(job: Job) -> str:
    return f"/api/calls/{quote(job.conversation_id, safe='')}"
