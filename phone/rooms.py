"""Conferences: rooms by name in which the legs of several calls meet.

    waiting ──a second one is in, and one of them starts it──> begun ──> over

It is over for all when one leaves who ends it, and when the last has left. Nobody's audio goes
anywhere: who is in a room, when it begins and what its callbacks say is what it is about. What is
to be told is returned to the leg that brought it about. Source: Twilio, "TwiML Voice:
<Conference>"; of its callbacks only the first participant's settings count.
"""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime

from phone.verbs import Conference


class RoomFullError(Exception):
    """As many are in the ``room`` as may be (16020)."""

    def __init__(self, room: str) -> None:
        super().__init__(room)
        self.room = room

    def __str__(self) -> str:
        return f"the conference {self.room} is full"


@dataclass(frozen=True, slots=True)
class News:
    """A callback that is due."""

    url: str
    method: str
    fields: Mapping[str, str]


@dataclass(slots=True, eq=False)
class Seat:
    """One leg's place in a room."""

    room: "Room"
    call_sid: str
    conference: Conference
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """The conference has begun, or is over."""
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def leave(self) -> list[News]:
        """Leave; return what is to be told. Harmless when it was left before."""
        return self.room.left(self)


class Room:
    """One conference."""

    def __init__(self, account_sid: str, first: Conference) -> None:
        self._account_sid, self._first = account_sid, first
        self._sid = "CF" + secrets.token_hex(16)
        self._sequence = 0
        self._ended_by = ""
        self.seats: list[Seat] = []
        self.has_begun = False

    def entered(self, call_sid: str, conference: Conference) -> tuple[Seat, list[News]]:
        """Let somebody in. Raises `RoomFullError`."""
        if len(self.seats) >= self._first.most:
            raise RoomFullError(conference.name)
        seat = Seat(self, call_sid, conference)
        self.seats.append(seat)
        news = self._told("join", "participant-join", seat)
        begins = len(self.seats) > 1 and any(it.conference.start_on_enter for it in self.seats)
        if begins and not self.has_begun:
            self.has_begun = True
            news += self._told("start", "conference-start")
        if self.has_begun:
            for it in self.seats:
                it.begun.set()
        return seat, news

    def left(self, seat: Seat) -> list[News]:
        """Let somebody out."""
        if seat not in self.seats:
            return []
        self.seats.remove(seat)
        seat.begun.set()
        seat.over.set()
        news = self._told("leave", "participant-leave", seat)
        if seat.conference.end_on_exit:
            self._ended_by = self._ended_by or seat.call_sid
            for it in self.seats:
                it.begun.set()
                it.over.set()
        if not self.seats:
            news += self._told("end", "conference-end")
        return news

    def _told(self, word: str, event: str, seat: Seat | None = None) -> list[News]:
        self._sequence += 1
        first = self._first
        if first.status_callback is None or word not in first.status_callback_events:
            return []
        fields = {
            "AccountSid": self._account_sid,
            "ConferenceSid": self._sid,
            "FriendlyName": first.name,
            "SequenceNumber": str(self._sequence),
            "StatusCallbackEvent": event,
            "Timestamp": format_datetime(datetime.now(UTC)),
        }
        if seat is not None:
            fields |= {
                "CallSid": seat.call_sid,
                "Muted": "false",
                "Hold": "false",
                "Coaching": "false",
                "StartConferenceOnEnter": _flag(seat.conference.start_on_enter),
                "EndConferenceOnExit": _flag(seat.conference.end_on_exit),
            }
        elif event == "conference-end":
            ended = "participant-with-end-conference-on-exit-left"
            fields["ReasonConferenceEnded"] = ended if self._ended_by else "last-participant-left"
            fields |= {"CallSidEndingConference": self._ended_by} if self._ended_by else {}
        return [News(first.status_callback, first.status_callback_method, fields)]


class Rooms:
    """The conferences of one account. Give it to all phones whose legs are to meet."""

    def __init__(self) -> None:
        self._rooms: dict[tuple[str, str], Room] = {}

    @property
    def names(self) -> list[str]:
        """The rooms in which somebody is."""
        return [name for (_, name), room in self._rooms.items() if room.seats]

    def enter(
        self, account_sid: str, call_sid: str, conference: Conference
    ) -> tuple[Seat, list[News]]:
        """Take a seat in the room of that name; return what is to be told, too.

        Raises `RoomFullError`.
        """
        self._rooms = {key: room for key, room in self._rooms.items() if room.seats}
        key = account_sid, conference.name
        room = self._rooms.get(key) or Room(account_sid, conference)
        self._rooms[key] = room
        return room.entered(call_sid, conference)


def _flag(value: bool) -> str:
    return "true" if value else "false"
