"""Status callbacks: of the call, of its streams, of the numbers it dialled.

Each is a signed request of its own whose answer does not matter; a failure is noted and nothing
else. Source: Twilio, "Call resource" (StatusCallback) and "TwiML Voice: <Stream>", "<Number>".
"""

from collections.abc import Mapping
from dataclasses import dataclass

from phone.dialling import CALL_EVENTS, DialledCall
from phone.events import CallbackSent, Noticed
from phone.journal import Journal
from phone.parameters import Identity, terminal
from phone.rooms import News
from phone.verbs import Stream
from phone.webhooks import WebhookClient, WebhookError


@dataclass(slots=True)
class Callbacks:
    """Sends the status callbacks of one call."""

    webhooks: WebhookClient
    identity: Identity
    journal: Journal
    status_url: str | None
    events: frozenset[str]
    _sequence: int = 0

    async def progress(self, event: str, status: str, seconds: float = 0) -> None:
        """Tell the call's status, if ``event`` is asked for; ``seconds`` since it was answered."""
        if self.status_url is None or event not in self.events:
            return
        fields = self.identity.progress(status, self._sequence)
        self._sequence += 1
        if event == "completed":
            fields |= terminal(status, seconds)
        await self._send(self.status_url, "POST", fields, f"call {status}")

    async def stream(self, stream: Stream, stream_sid: str, event: str, error: str = "") -> None:
        """Tell ``stream-started``, ``stream-stopped`` or ``stream-error``, if asked for."""
        if stream.status_callback is None:
            return
        fields = self.identity.stream(stream_sid, stream.name, event, error)
        await self._send(stream.status_callback, stream.status_callback_method, fields, event)

    async def room(self, news: News) -> None:
        """Tell what has happened in a conference."""
        what = f"room: {news.fields['StatusCallbackEvent']}"
        await self._send(news.url, news.method, news.fields, what)

    async def child(self, call: DialledCall, event: str) -> None:
        """Tell how a dialled number fares, if it asked for ``event``."""
        number = call.number
        if number.status_callback is None or event not in number.status_callback_events:
            return
        status = call.status_at(event)
        sequence = [e for e in CALL_EVENTS if e in number.status_callback_events].index(event)
        fields = self.identity.progress(status, sequence) | {
            "CallSid": call.sid,
            "ParentCallSid": self.identity.call_sid,
            "Direction": "outbound-dial",
            "To": number.number,
            "Called": number.number,
        }
        if event == "completed":
            fields |= terminal(status, call.talk_s)
        method = number.status_callback_method
        await self._send(number.status_callback, method, fields, f"dialled call {status}")

    async def _send(self, url: str, method: str, fields: Mapping[str, str], what: str) -> None:
        status: int | None = None
        try:
            status = (await self.webhooks.send(url, method, fields)).status
        except WebhookError as error:
            status = error.status
            self.journal.note(Noticed(at_ms=self.journal.now_ms(), problem=error.problem))
        self.journal.note(
            CallbackSent(at_ms=self.journal.now_ms(), url=url, what=what, status=status)
        )
