"""The webhooks of warm transfers: what the human hears and answers, and who is in which room.

They are checked and read as all others are; here is only what they mean. It refuses to know how a
transfer goes on.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from starlette.responses import Response

from gateway.calls.answers import Answer, IncomingCall
from gateway.carriers.twilio import transfer_twiml, twiml, webhooks
from gateway.carriers.twilio.leg import BRIEFING_PATH, HOLD_PATH, ROOM_PATH, TwilioLeg
from gateway.carriers.twilio.origin import Origin
from gateway.carriers.twilio.placing import MARKER
from gateway.carriers.twilio.signed_request import Parameters
from gateway.carriers.twilio.vocabulary import RoomEvent
from gateway.transfers.hold_music import MUSIC_PATH

Handler = Callable[[Parameters, Origin], Awaitable[Response]]
"""Answers a webhook that is genuine."""


class Transfers(Protocol):
    """Who knows the transfers under way."""

    def answered(self, marker: str, human: IncomingCall) -> Answer | None:
        """A call that we placed was answered; ``None`` if it is for no transfer."""

    def replied(self, marker: str, attempt: int, digits: str, speech: str) -> Answer:
        """A human was asked for the ``attempt``-th time."""

    def in_room(self, room: str, call_sid: str, *, came: bool) -> None:
        """Somebody has come into a room, or has left it."""


class TransferRoutes:
    """What Twilio asks about transfers. ``music_url`` is played on hold; ``None``: our own loop."""

    def __init__(self, transfers: Transfers, music_url: str | None = None) -> None:
        self._transfers, self._music_url = transfers, music_url

    def handlers(self) -> Mapping[str, Handler]:
        """Return who answers which path."""
        return {
            HOLD_PATH: self._hold,
            ROOM_PATH: self._room,
            BRIEFING_PATH: self._briefing,
        }

    def answered(self, human: IncomingCall) -> Answer | None:
        """A call was answered: return what is heard, ``None`` if it is for no transfer."""
        return self._transfers.answered(human.parameters.get(MARKER, ""), human)

    async def _hold(self, parameters: Parameters, origin: Origin) -> Response:
        music = transfer_twiml.music(self._music_url or origin.url(MUSIC_PATH))
        return Response(music, media_type=twiml.CONTENT_TYPE)

    async def _room(self, parameters: Parameters, origin: Origin) -> Response:
        it = webhooks.room_callback(parameters)
        if it.event in {RoomEvent.JOINED, RoomEvent.LEFT}:
            came = it.event is RoomEvent.JOINED
            self._transfers.in_room(it.room, it.call_sid, came=came)
        return Response(status_code=204)

    async def _briefing(self, parameters: Parameters, origin: Origin) -> Response:
        it = webhooks.gathered(parameters)
        marker = it.everything.get(MARKER, "")
        attempt = it.everything.get("n", "")
        answer = self._transfers.replied(
            marker, int(attempt) if attempt in {"1", "2", "3"} else 0, it.digits, it.speech
        )
        leg = TwilioLeg(it.call_sid, origin, None, None)
        return Response(leg.document(answer), media_type=twiml.CONTENT_TYPE)
