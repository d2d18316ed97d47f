"""The webhooks of warm transfers: what the human hears and answers, and who is in which room.

They are checked and read as all others are; here is only what they mean. It refuses to know how a
transfer goes on.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import structlog
from starlette.responses import Response

from gateway.calls.answers import Answer, AskAgain, IncomingCall
from gateway.carriers.control import CallControl, CarrierError
from gateway.carriers.twilio import transfer_twiml, twiml
from gateway.carriers.twilio import transfer_webhooks as webhooks
from gateway.carriers.twilio.leg import BRIEFING_PATH, HOLD_PATH, ROOM_PATH, TwilioLeg, hold_url
from gateway.carriers.twilio.origin import Origin
from gateway.carriers.twilio.placing import MARKER
from gateway.carriers.twilio.signed_request import Parameters
from gateway.carriers.twilio.vocabulary import RoomEvent
from gateway.transfers.hold_music import MUSIC_PATH

log = structlog.get_logger(__name__)

LOOPS = 2
"""How often our loop (16 s) is played until Twilio asks again what a caller hears."""

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

    def is_open(self, room: str) -> bool:
        """Whether somebody waits in a room of a transfer that is known."""


ControlOf = Callable[[str], Awaitable[CallControl | None]]
"""Returns the REST of an account, by its SID."""


class TransferRoutes:
    """What Twilio asks about transfers. ``music_url`` is played on hold; ``None``: our own loop."""

    def __init__(self, transfers: Transfers, music_url: str | None = None) -> None:
        self._transfers, self._music_url = transfers, music_url

    def handlers(self, control_of: ControlOf) -> Mapping[str, Handler]:
        """Return who answers which path."""

        async def hold(parameters: Parameters, origin: Origin) -> Response:
            return await self._hold(parameters, origin, control_of)

        return {
            HOLD_PATH: hold,
            ROOM_PATH: self._room,
            BRIEFING_PATH: self._briefing,
        }

    def answered(self, human: IncomingCall) -> Answer | None:
        """A call was answered: return what is heard, ``None`` if it is for no transfer."""
        return self._transfers.answered(human.parameters.get(MARKER, ""), human)

    async def _hold(
        self, parameters: Parameters, origin: Origin, control_of: ControlOf
    ) -> Response:
        """Say what a caller hears; one whom nobody here knows is fetched out of the room.

        Their gateway has died, and with it whoever would have come.
        """
        it = webhooks.waiting(parameters)
        if not self._transfers.is_open(it.room):
            leg = TwilioLeg(it.call_sid, origin, await control_of(it.account_sid), None)
            await _fetch_back(leg, it.call_sid)
        wait_url = hold_url(origin, it.room, it.call_sid, it.account_sid)
        url, times = (self._music_url, 1) if self._music_url else (origin.url(MUSIC_PATH), LOOPS)
        music = transfer_twiml.music(url, wait_url, times=times)
        return Response(music, media_type=twiml.CONTENT_TYPE, headers={"Cache-Control": "no-store"})

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
        return told(leg, answer)


def told(leg: TwilioLeg, answer: Answer) -> Response:
    """Return what tells the carrier ``answer``."""
    return Response(leg.document(answer), media_type=twiml.CONTENT_TYPE)


async def _fetch_back(leg: TwilioLeg, call_sid: str) -> None:
    log.warning("a caller waits for nobody: fetched back", call_sid=call_sid)
    try:
        await leg.enforce(AskAgain())
    except CarrierError as error:
        log.warning("the caller is not fetched back", call_sid=call_sid, error=str(error))
