"""What the fake Twilio tells about a call it places: signed callbacks, in order unless told else.

Source: Twilio docs, "Call resource" (StatusCallback), "Answering Machine Detection".
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from phone.parameters import Identity, terminal
from phone.webhooks import WebhookClient, WebhookError
from tests.fakes.twilio_account import Call


@dataclass
class CallbackFaults:
    """What happens to callbacks on their way.

    ``late_s`` is how long each takes, ``lost`` are the events that never arrive; ``backwards`` has
    the last one arrive first.
    """

    late_s: float = 0.0
    twice: bool = False
    backwards: bool = False
    lost: frozenset[str] = frozenset()


Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


@dataclass
class Mail:
    """Sends one call's callbacks. ``events`` are the wanted ones."""

    call: Call
    identity: Identity
    webhooks: WebhookClient
    faults: CallbackFaults
    spawn: Spawn
    room: asyncio.Semaphore
    """How many requests are made at once, of all calls."""
    failed: list[WebhookError] = field(default_factory=list)
    _sequence: int = 0
    _held: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    _last: "asyncio.Task[None] | None" = None

    @property
    def _wanted(self) -> tuple[str, ...]:
        return tuple(self.call.form.get("StatusCallbackEvent") or ["completed"])

    def progress(self, event: str, status: str, seconds: float | None = None) -> None:
        """Tell the call's status, if ``event`` is wanted; ``seconds`` with the last one."""
        url = self.call.asked("StatusCallback")
        if url is None or event not in self._wanted:
            return
        fields = self.identity.progress(status, self._sequence)
        self._sequence += 1
        if seconds is not None:
            fields |= terminal(status, seconds)
        if event in self.faults.lost:
            return
        method = self.call.asked("StatusCallbackMethod") or "POST"
        if self.faults.backwards and seconds is None:
            self._held.insert(0, (url, method, fields))
            return
        for it in ((url, method, fields), *self._held):
            self._post(*it)

    def verdict(self, answered_by: str, ms: int) -> None:
        """Tell who has answered."""
        self.call.answered_by = answered_by
        url = self.call.asked("AsyncAmdStatusCallback")
        if url is None or "amd" in self.faults.lost:
            return
        fields = {
            "AccountSid": self.identity.account_sid,
            "CallSid": self.identity.call_sid,
            "AnsweredBy": answered_by,
            "MachineDetectionDuration": str(ms),
        }
        self._post(url, self.call.asked("AsyncAmdStatusCallbackMethod") or "POST", fields)

    async def document(self, url: str) -> None:
        """Fetch a document and do nothing with it."""
        self.note(self.call.asked("Method") or "POST", url.partition("#")[0])
        await self._send(
            url, self.call.asked("Method") or "POST", self.identity.standard("in-progress")
        )

    def note(self, method: str, url: str) -> None:
        """Put a request into the call's log."""
        self.call.events.append({"request": {"method": method, "url": url}, "response": {}})

    def _post(self, url: str, method: str, fields: Mapping[str, str]) -> None:
        for _ in range(1 + self.faults.twice):
            self._last = self.spawn(self._after(self._last, url, method, fields))

    async def _after(
        self,
        before: "asyncio.Task[None] | None",
        url: str,
        method: str,
        fields: Mapping[str, str],
    ) -> None:
        if before is not None:
            await asyncio.wait([before])
        self.note(method, url.partition("#")[0])  # as it is sent, however long it takes
        if self.faults.late_s:
            await asyncio.sleep(self.faults.late_s)
        await self._send(url, method, fields)

    async def _send(self, url: str, method: str, fields: Mapping[str, str]) -> None:
        try:
            async with self.room:
                await self.webhooks.send(url, method, fields)
        except WebhookError as error:
            self.failed.append(error)
