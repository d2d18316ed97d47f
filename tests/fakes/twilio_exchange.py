"""The exchange behind the fake Twilio: calls that were created come to life, callees answer.

    queued ──a turn of the queue──> (initiated) ringing ──> in-progress ──> completed
       └──canceled, untold              └──> busy | no-answer | failed | canceled

What `Callee` a number has is the test's. Those with media talk by the real phone, which fetches the
call's Url and opens its stream; those without cost a timer and their callbacks, so that a campaign
of thousands is cheap.
"""

import asyncio
import dataclasses
import time
from collections.abc import Callable, Coroutine
from typing import Any, Literal

from phone import Call as PhoneCall
from phone import CalleeOutcome, Phone, PhoneSettings, Report
from phone.clock import LoopClock
from phone.events import VerbBegun
from phone.parameters import Identity
from phone.signature import Signer
from phone.transport import SharedTransport, tls_context
from phone.webhooks import WebhookClient, WebhookError
from tests.fakes.twilio_account import LIVE, Account, Call
from tests.fakes.twilio_callee import Callee, beep
from tests.fakes.twilio_mail import CallbackFaults, Mail

EXTRA_RING_SECONDS = 5.0
"""What Twilio may add to a call's Timeout (docs, "Call resource")."""

_ENABLE_SECONDS = 1.0
"""How much of a machine's greeting it takes to tell that it is one, in this world."""

_AT_ONCE = 40


def human(number: str) -> Callee:
    """Return a callee who answers and says nothing."""
    del number
    return Callee()


class Exchange:
    """Runs the calls that are created through an account's REST.

    ``speed`` is how many times faster than life it rings and talks; ``calls_per_second`` is the
    account's limit, beyond which calls wait in the queue.
    """

    def __init__(
        self,
        account: Account,
        auth_token: str,
        callee: Callable[[str], Callee] = human,
        *,
        speed: float = 50.0,
        calls_per_second: float = 1000.0,
    ) -> None:
        self._account, self._auth_token, self.callee = account, auth_token, callee
        self.speed, self.calls_per_second = speed, calls_per_second
        self.faults = CallbackFaults()
        self.phone_settings = PhoneSettings(verb_speed=20)
        self.phones: dict[str, PhoneCall] = {}
        """The callees who talk now, by call."""
        self.reports: dict[str, Report] = {}
        self.problems: list[WebhookError] = []
        """Callbacks and documents that could not be had."""
        self.most_at_once = 0
        self._at_once = 0
        self._gone: dict[str, asyncio.Event] = {}
        self._told: dict[str, tuple[str | None, str | None]] = {}
        """What each call's instructions were when they were looked at last."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._next_turn = 0.0
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._transport: SharedTransport | None = None
        account.watchers.append(self._changed)

    async def open(self) -> None:
        """Get ready to make requests."""
        self._transport = SharedTransport(await asyncio.to_thread(tls_context, insecure=False))
        self._http = self._transport.client()

    async def close(self) -> None:
        """End all calls without a word."""
        if self._changed in self._account.watchers:
            self._account.watchers.remove(self._changed)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._transport is not None:
            await self._transport.close()

    async def idle(self) -> None:
        """Return when every call is over and every callback was sent."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    # One call ----------------------------------------------------------------------------------

    def _changed(self, call: Call) -> None:
        """A request has created a call, has ended one, or has given it other instructions."""
        if call.status == "queued" and call.sid not in self._gone:
            self._gone[call.sid] = asyncio.Event()
            self._spawn(self._live(call))
        elif call.status not in LIVE and call.sid in self._gone:
            self._gone[call.sid].set()
        elif call.sid in self.phones and self._told[call.sid] != (call.twiml, call.url):
            self._told[call.sid] = call.twiml, call.url
            self.phones[call.sid].redirect(call.twiml, call.url)

    def take(self, phone: PhoneCall) -> None:
        """Let requests reach a call that came in: one that a phone has placed itself."""
        call = self._account.add_call(phone.sid)
        self._gone[call.sid] = asyncio.Event()
        self.phones[call.sid], self._told[call.sid] = phone, (None, None)
        self._spawn(self._taken(call, phone))

    async def _taken(self, call: Call, phone: PhoneCall) -> None:
        gone = asyncio.create_task(_until(self._gone[call.sid]))
        over = asyncio.create_task(_until_ended(phone))
        try:
            await asyncio.wait({gone, over}, return_when=asyncio.FIRST_COMPLETED)
            if not over.done():
                await phone.hangup()
        finally:
            gone.cancel()
            over.cancel()
            await asyncio.gather(gone, over, return_exceptions=True)
            del self.phones[call.sid], self._told[call.sid], self._gone[call.sid]
        if call.status in LIVE:
            self._account.end_call(call.sid)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _live(self, call: Call) -> None:
        gone = self._gone[call.sid]
        try:
            now = time.monotonic()
            self._next_turn = max(self._next_turn, now)
            wait, self._next_turn = self._next_turn - now, self._next_turn + self._between
            if not await self._is_over(gone, wait):
                await self._place(call, gone)
        finally:
            del self._gone[call.sid]

    @property
    def _between(self) -> float:
        return 1 / self.calls_per_second

    async def _place(self, call: Call, gone: asyncio.Event) -> None:
        callee, mail = self.callee(call.to), self._mail(call)
        call.started = time.time()
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            mail.progress("initiated", "initiated")
            call.status = "ringing"
            mail.progress("ringing", "ringing")
            status, seconds = await self._ring(call, callee, gone), 0.0
            if status == "in-progress":
                began = time.monotonic()
                await self._answered(call, callee, gone, mail)
                factor = 1.0 if callee.media else self.speed
                status, seconds = "completed", (time.monotonic() - began) * factor
        finally:
            self._at_once -= 1
        if call.status in LIVE:
            self._account.end_call(call.sid, status)
        call.talked = seconds
        mail.progress("completed", call.status, seconds)
        self.problems += mail.failed

    async def _ring(self, call: Call, callee: Callee, gone: asyncio.Event) -> str:
        """Let it ring; return what comes of it."""
        limit = float(call.asked("Timeout") or 60) + EXTRA_RING_SECONDS
        outcome, ring_s = callee.outcome, callee.ring_s
        if outcome is CalleeOutcome.NO_ANSWER or ring_s > limit:
            outcome, ring_s = CalleeOutcome.NO_ANSWER, limit
        if await self._is_over(gone, ring_s / self.speed):
            return call.status
        return "in-progress" if outcome is CalleeOutcome.ANSWERED else outcome.value

    async def _answered(self, call: Call, callee: Callee, gone: asyncio.Event, mail: Mail) -> None:
        call.status, call.answered = "in-progress", time.time()
        mail.progress("answered", "in-progress")
        if callee.media and call.url is not None:
            await self._talk(call, callee, gone, mail)
            return
        mode = call.asked("MachineDetection")
        limit = min(callee.talk_s, float(call.asked("TimeLimit") or 14_400))
        if callee.fetches and call.url is not None:
            await mail.document(call.url)
        if mode is not None:
            limit -= callee.verdict_s
            if await self._is_over(gone, min(callee.verdict_s, limit) / self.speed):
                return
            mail.verdict(callee.taken_for(mode), round(callee.verdict_s * 1000))
        await self._is_over(gone, max(0.0, limit) / self.speed)

    async def _is_over(self, gone: asyncio.Event, seconds: float) -> bool:
        """Let ``seconds`` pass; tell whether the call was ended by a request meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                await gone.wait()
        except TimeoutError:
            return False
        return True

    def _mail(self, call: Call) -> Mail:
        identity = Identity(
            self._account.sid, call.sid, call.from_, call.to, {"Direction": "outbound-api"}
        )
        client = WebhookClient(self._http, Signer(self._auth_token), LoopClock(), 15_000)
        return Mail(call, identity, client, self.faults, self._spawn, self._room)

    # With media --------------------------------------------------------------------------------

    async def _talk(self, call: Call, callee: Callee, gone: asyncio.Event, mail: Mail) -> None:
        """The callee takes the phone, until one of both, or a request, ends the call."""
        async with self._phone(call).dial(call_sid=call.sid) as phone:
            mail.note("POST", (call.url or "").partition("#")[0])
            self.phones[call.sid], self._told[call.sid] = phone, (call.twiml, call.url)
            parts = [
                asyncio.create_task(self._act(call, callee, phone, mail)),
                asyncio.create_task(self._tell_human(call, callee, mail)),
                asyncio.create_task(_until(gone)),
                asyncio.create_task(_until_ended(phone)),
            ]
            try:
                # That a human was told to be one ends no call.
                await asyncio.wait([parts[0], *parts[2:]], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for part in parts:
                    part.cancel()
                await asyncio.gather(*parts, return_exceptions=True)
            await phone.hangup()
            self.reports[call.sid] = await phone.ended()
            del self.phones[call.sid], self._told[call.sid]

    def _phone(self, call: Call) -> Phone:
        method: Literal["GET", "POST"] = "GET" if call.asked("Method") == "GET" else "POST"
        settings = dataclasses.replace(
            self.phone_settings,
            method=method,
            parameters={"Direction": "outbound-api", "CallStatus": "in-progress"},
            status_events=frozenset(),
            time_limit_s=float(call.asked("TimeLimit") or 14_400),
        )
        return Phone(
            call.url or "",
            auth_token=self._auth_token,
            account_sid=self._account.sid,
            to=call.to,
            from_=call.from_,
            fallback_url=call.asked("FallbackUrl"),
            settings=settings,
        )

    async def _act(self, call: Call, callee: Callee, phone: PhoneCall, mail: Mail) -> None:
        if callee.machine is not None:
            mode = call.asked("MachineDetection")
            has_stream = await _begins(phone)
            began = time.monotonic()
            if mode == "Enable":
                if has_stream:
                    phone.say_nowait(callee.greeting, "greeting")
                await phone.wait(_ENABLE_SECONDS * 1000)
            else:
                end = beep() if callee.machine == "beep" else b""
                await phone.say(callee.greeting + end, "greeting")
            if mode is not None:
                ms = round((time.monotonic() - began) * 1000)
                mail.verdict(callee.taken_for(mode), ms)
        await callee.act(phone)

    async def _tell_human(self, call: Call, callee: Callee, mail: Mail) -> None:
        mode = call.asked("MachineDetection")
        if mode is not None and callee.machine is None:
            await asyncio.sleep(callee.verdict_s / self.speed)
            mail.verdict(callee.taken_for(mode), round(callee.verdict_s * 1000))


async def _begins(phone: PhoneCall) -> bool:
    """Return when the server deals with the callee; whether it has opened a stream for that."""
    verb = await phone.seen(VerbBegun)
    if verb.verb == "Connect":
        await phone.connected()
    return verb.verb == "Connect"


async def _until(gone: asyncio.Event) -> None:
    await gone.wait()


async def _until_ended(phone: PhoneCall) -> None:
    await phone.ended()
