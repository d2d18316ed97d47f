"""One warm transfer: acts on its course, between a caller on hold and a human's phone.

What happens comes from four sides, each in its own time: the caller's call, the attempt to call the
human, the human's webhooks and the room's callbacks. All of it becomes an `Event` here; the course
decides what is done about it.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from gateway.calls.answers import Answer, Brief, CallLeg, Excuse, IncomingCall, Meet
from gateway.calls.holding import Holding
from gateway.calls.warm_order import WarmOrder
from gateway.calls.warm_transfer import Act, Course, Event, Stage
from gateway.carriers.control import CarrierError
from gateway.dialer.attempt import Attempt, AttemptState
from gateway.dialer.errors import DialError, DialInDoubtError
from gateway.dialer.numbers import NumberRefusedError
from gateway.dialer.order import Dialled, Order, new_id
from gateway.transfers.words import said_yes, words_of

MOST_ASKED = 3
"""How often the human is asked; who has not answered then does not take the call."""

CARRIER_SECONDS = 20.0
"""How much longer than its ring time a phone may take to be answered or given up: the carrier
rings 5 s longer, and what it tells may come late."""

BRIEFING_SECONDS = 180.0
JOINING_SECONDS = 10.0
"""A human who has accepted is in the room by then, whether or not the carrier has told."""

_ENDS = {
    "busy": Event.BUSY,
    "no-answer": Event.UNANSWERED,
    "canceled": Event.UNANSWERED,
    "completed": Event.HUNG_UP,
}
_LIVE = frozenset({Stage.CALLING, Stage.BRIEFING, Stage.JOINING, Stage.TALKING})
_DONE = frozenset({Stage.OVER})


class Dials(Protocol):
    """Who places calls."""

    async def dial(self, order: Order) -> Dialled:
        """Place a call. Raises `DialError` or `NumberRefusedError`."""

    def hang_up(self, dial_id: str) -> None:
        """End an attempt's call, now or as soon as it is known to exist."""


class WarmTransfer:
    """A `gateway.calls.holding.Transfer`. ``dial`` is the order that calls the human."""

    def __init__(
        self,
        caller: Holding,
        order: WarmOrder,
        dial: Order,
        dials: Dials,
        on_over: Callable[["WarmTransfer"], None],
    ) -> None:
        self._caller, self._order = caller, order
        self._dial = replace(dial, wanted=lambda: self.stage in _LIVE)
        self._dials, self._on_over = dials, on_over
        self._words = words_of(order.language)
        self._course = Course()
        self._asked = 1
        self._by_key = False
        self._human: CallLeg | None = None
        self._human_sid = ""
        self._was_seen = False
        """The human has come into the room, as the carrier says."""
        self._last_words = self._words.gone
        self._timer: asyncio.TimerHandle | None = None
        self.marker = new_id(dial)
        # Nobody must be able to guess it: whoever is in the room hears the caller.
        self._room = "callfarm-" + secrets.token_hex(16)

    @property
    def room(self) -> str:
        """Where the two meet."""
        return self._room

    @property
    def stage(self) -> Stage:
        """Where it stands."""
        return self._course.stage

    @property
    def is_missed(self) -> bool:
        """Whether a caller who still waits does so for nobody: the human should be there, and is
        not."""
        return self.stage is Stage.TALKING and not self._was_seen

    def take(self, event: Event) -> None:
        """Something has happened."""
        before = self.stage
        acts = self._course.take(event)
        if self.stage is before:
            return
        self._caller.log.debug("warm transfer moves", to=self.stage.value, by=event.value)
        self._set_timer()
        for act in acts:
            self._do(act)
        if self.stage in _DONE:
            self._on_over(self)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        seconds = {
            Stage.CALLING: self._order.ring_seconds + CARRIER_SECONDS,
            Stage.BRIEFING: BRIEFING_SECONDS,
            Stage.JOINING: JOINING_SECONDS,
        }.get(self.stage)
        self._timer = None
        if seconds is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(seconds, self.take, Event.OVERDUE)

    # Acting ------------------------------------------------------------------------------------

    def _do(self, act: Act) -> None:
        match act:
            case Act.CALL:
                self._caller.run(self._call())
            case Act.HANG_UP:
                self._dials.hang_up(self.marker)
            case Act.EXCUSE:
                self._caller.run(self._excuse())
            case Act.HAND_OVER:
                self._caller.hand_over(self._room, self._order.number)
            case Act.BRING_BACK:
                self._caller.bring_back()
            case Act.REPORT:
                assert self._course.outcome is not None
                self._caller.report(self._course.outcome)

    async def _call(self) -> None:
        try:
            await self._dials.dial(self._dial)
        except DialInDoubtError:
            return  # the phone may be ringing: its callbacks tell, or the time
        except (DialError, NumberRefusedError) as error:
            self._caller.log.warning("the human cannot be called", reason=str(error))
            self.take(Event.REFUSED)
        if self.stage not in _LIVE:
            self._dials.hang_up(self.marker)

    async def _excuse(self) -> None:
        """Tell the human; one who cannot be told is hung up on."""
        assert self._human is not None, "nobody is excused who has not picked up"
        try:
            await self._human.enforce(self._farewell)
        except CarrierError:
            self._dials.hang_up(self.marker)

    # What the human's side says ------------------------------------------------------------------

    def answered(self, human: IncomingCall) -> Answer:
        """The human has picked up: return what they hear."""
        if self._human is None:
            self._human, self._human_sid = human.leg, human.sid
        self.take(Event.ANSWERED)
        return self._answer()

    def replied(self, attempt: int, digits: str, speech: str) -> Answer:
        """The human has answered, or not, when asked for the ``attempt``-th time."""
        if self.stage is Stage.BRIEFING and attempt == self._asked:
            match said_yes(self._words, digits, speech):
                case True:
                    self._by_key = bool(digits)
                    self.take(Event.ACCEPTED)
                case False:
                    self._last_words = self._words.declined
                    self.take(Event.DECLINED)
                case None if attempt < MOST_ASKED:
                    self._asked += 1
                case None:
                    self.take(Event.SILENT)
        return self._answer()

    @property
    def _farewell(self) -> Excuse:
        return Excuse(self._last_words, self._order.language)

    def _answer(self) -> Answer:
        """Return what the human hears now: the same, whenever the carrier asks again."""
        match self.stage:
            case Stage.BRIEFING:
                order, words = self._order, self._words
                text = words.asked(order.summary) if self._asked == 1 else words.question
                return Brief(self.marker, self._asked, text, order.language, words.hints)
            case Stage.JOINING | Stage.TALKING:
                return Meet(self._room)
        return self._farewell

    def follow(self, attempt: Attempt) -> None:
        """The attempt to call the human has changed."""
        verdict = attempt.answered_by
        # Whoever presses a key when asked to is no machine, whatever was heard before.
        if (verdict.startswith("machine") or verdict == "fax") and not self._by_key:
            self.take(Event.MACHINE)
        match attempt.state:
            case AttemptState.REFUSED | AttemptState.LOST:
                self.take(Event.REFUSED)
            case AttemptState.ENDED:
                self.take(_ENDS.get(attempt.status, Event.FAILED))

    def came_in(self, call_sid: str) -> None:
        """Somebody is in the room."""
        if call_sid == self._human_sid:
            self._was_seen = True
            self.take(Event.JOINED)

    def went_out(self, call_sid: str) -> None:
        """Somebody has left the room."""
        if call_sid == self._caller.incoming.sid:
            self._caller.left_room()
