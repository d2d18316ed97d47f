"""Calls placed through Twilio's REST API, and numbers pointed here.

The marker of a call is the query of its webhooks (``?dial=...``), which Twilio signs and repeats as
it was given. So a call whose creation was in doubt is found again: by its first callback, or in
Twilio's list, where the call's own events tell which URLs were requested for it.

Requests: Twilio docs, "Call resource", "Answering Machine Detection", "Call Events resource",
"IncomingPhoneNumber resource".
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from gateway.carriers.control import CarrierUnavailableError
from gateway.carriers.placing import Machine, NewCall, NumberSettings, OwnNumber, PlacedCall
from gateway.carriers.twilio.recordings import TwilioRecordings
from gateway.carriers.twilio.twiml import RETRIES
from gateway.carriers.twilio.vocabulary import CallStatus

VOICE_PATH = "/twilio/voice"
STATUS_PATH = "/twilio/status"
AMD_PATH = "/twilio/amd"
MARKER = "dial"
"""The name of the marker in the query of the webhooks."""

NEAR_SECONDS = 60.0
"""So near to its order, by Twilio's own clock, is a call that was placed."""

CLOCK_SECONDS = 900.0
"""Our clock may have been so wrong when it was ordered, though it be right by now."""

EVIDENCE_SECONDS = 600.0
"""How long Twilio may take to tell which URLs it has requested for a call."""

FOREIGN_SECONDS = 3600.0
"""A call for which none was requested after so long is not ours, unless nothing else can be."""

MOST_SECONDS = 4 * 3600
"""The longest call of an ordinary account (docs, "Call resource", TimeLimit)."""

MOST_RING_SECONDS = 600

_MOST_LISTED = 50
_MOST_EXAMINED = 10
_EVENTS = ["initiated", "ringing", "answered", "completed"]
_DETECTION = {Machine.HANG_UP: "Enable", Machine.MESSAGE: "DetectMessageEnd"}


class _Match(Enum):
    OURS = auto()
    ANOTHERS = auto()
    UNKNOWN = auto()


class TwilioPlacing(TwilioRecordings):
    """The ``CallPlacing`` of one Twilio account."""

    async def place(self, call: NewCall) -> PlacedCall:
        """Create a call. Raises ``CarrierError``; sent again only where it had no effect."""

        def url(path: str) -> str:
            return f"{call.origin}{path}?{MARKER}={quote(call.marker)}#{RETRIES}"

        options: dict[str, Any] = {}
        if call.machine in _DETECTION:
            options = {
                "machine_detection": _DETECTION[call.machine],
                # A string, as documented: the call goes on while it is being found out.
                "async_amd": "true",
                "async_amd_status_callback": url(AMD_PATH),
                "async_amd_status_callback_method": "POST",
            }
        created = await self._once(
            "place the call",
            call.marker,
            lambda client: client.calls.create_async(
                to=call.to,
                from_=call.from_,
                url=url(VOICE_PATH),
                method="POST",
                fallback_url=url(VOICE_PATH),
                fallback_method="POST",
                status_callback=url(STATUS_PATH),
                status_callback_event=_EVENTS,
                status_callback_method="POST",
                timeout=min(call.ring_seconds, MOST_RING_SECONDS),
                time_limit=min(call.most_seconds, MOST_SECONDS),
                **options,
            ),
        )
        return _placed(created)

    async def find_placed(
        self, to: str, from_: str, after: float, marker: str, known: Collection[str] = ()
    ) -> PlacedCall | None:
        """Look for a call among the account's. Raises ``CarrierError``.

        Not by StartTime: a call that is still queued has none, and the filter knows days only. What
        cannot be told yet is an error with ``perhaps_done``: ask again when Twilio has done more.
        """
        listed = await self._repeated(
            "look for the call",
            marker,
            lambda client: client.calls.list_async(
                to=to, from_=from_, limit=_MOST_LISTED, page_size=_MOST_LISTED
            ),
        )
        clock = (await self._loaded()).http.clock
        search = _Search(ordered=clock.of(after), now=clock.now)
        maybe = [it for it in listed if search.may_be(it) and it.sid not in known]
        # What is nearest to the order first: beyond it is what a wrong clock made look possible.
        maybe.sort(key=search.distance)
        unknown = []
        for it in maybe[:_MOST_EXAMINED]:
            match await self._belongs(str(it.sid), marker):
                case _Match.OURS:
                    return _placed(it)
                case _Match.UNKNOWN:
                    unknown.append(it)
        found = search.without_evidence(unknown)
        if found is None and (search.undecided(unknown) or len(maybe) > _MOST_EXAMINED):
            reason = f"{len(maybe)} calls to that number may be it"
            raise CarrierUnavailableError("look for the call", reason, perhaps_done=True)
        return None if found is None else _placed(found)

    async def look(self, sid: str) -> PlacedCall:
        """Fetch a call. Raises ``CarrierError``."""
        found = await self._repeated(
            "look at the call", sid, lambda client: client.calls(sid).fetch_async()
        )
        return _placed(found)

    async def own_number(self, number: str) -> OwnNumber | None:
        """Look a number of the account up. Raises ``CarrierError``."""
        found = await self._repeated(
            "look up the number",
            number,
            lambda client: client.incoming_phone_numbers.list_async(phone_number=number, limit=20),
        )
        # Twilio's filter matches parts of numbers, too.
        return next((_own(it) for it in found if it.phone_number == number), None)

    async def point(self, number: OwnNumber, settings: NumberSettings) -> OwnNumber:
        """Set a number's URLs. Raises ``CarrierError``."""
        changed = await self._repeated(
            "set the number's URLs",
            number.id,
            lambda client: client.incoming_phone_numbers(number.id).update_async(
                voice_url=settings.voice_url,
                voice_method="POST",
                voice_fallback_url=settings.fallback_url,
                voice_fallback_method="POST",
                status_callback=settings.status_url,
                status_callback_method="POST",
            ),
        )
        return _own(changed)

    async def _belongs(self, sid: str, marker: str) -> _Match:
        events = await self._repeated(
            "look at the call's events",
            sid,
            lambda client: client.calls(sid).events.list_async(limit=_MOST_LISTED),
        )
        markers = set(_markers(events))
        if marker in markers:
            return _Match.OURS
        return _Match.ANOTHERS if events else _Match.UNKNOWN


@dataclass(frozen=True, slots=True)
class _Search:
    """Which calls may be the one that was ``ordered``; ``now`` as that in Twilio's time."""

    ordered: float
    now: float

    def may_be(self, it: Any) -> bool:
        """Tell whether it could be, be our clock wrong as it may."""
        near = self.distance(it) <= CLOCK_SECONDS
        return near and str(it.direction) == "outbound-api"

    def distance(self, it: Any) -> float:
        """Return how far from the order it was created, in seconds."""
        created = _created(it)
        return 0.0 if created is None else abs(created - self.ordered)

    def without_evidence(self, unknown: Sequence[Any]) -> Any:
        """Return the one that must be it although no request tells so, ``None`` if none must."""
        near = [it for it in unknown if self.distance(it) <= NEAR_SECONDS]
        late = self.now - self.ordered > EVIDENCE_SECONDS
        return near[0] if late and len(near) == 1 else None

    def undecided(self, unknown: Sequence[Any]) -> bool:
        """Tell whether one of those may yet turn out to be it."""
        return any(
            self.distance(it) <= NEAR_SECONDS
            or self.now - (_created(it) or self.now) < FOREIGN_SECONDS
            for it in unknown
        )


def _created(it: Any) -> float | None:
    at = it.date_created or it.start_time
    return at.timestamp() if isinstance(at, datetime) else None


def _markers(events: Iterable[Any]) -> Iterable[str]:
    for event in events:
        request = event.request if isinstance(event.request, dict) else {}
        yield from parse_qs(urlsplit(str(request.get("url", ""))).query).get(MARKER, ())


def _placed(it: Any) -> PlacedCall:
    status = CallStatus(str(it.status))
    seconds = str(it.duration or "")
    return PlacedCall(
        sid=str(it.sid),
        status=status.value,
        final=status.final,
        created=it.date_created.timestamp() if isinstance(it.date_created, datetime) else None,
        answered_by=str(it.answered_by or ""),
        seconds=int(seconds) if seconds.isdecimal() else None,
    )


def _own(it: Any) -> OwnNumber:
    settings = NumberSettings(
        it.voice_url or "", it.voice_fallback_url or "", it.status_callback or ""
    )
    occupied = it.trunk_sid or it.voice_application_sid or ""
    return OwnNumber(str(it.sid), str(it.phone_number), settings, str(occupied))
