"""What a call in progress is told from outside: hang up, transfer, say, press keys."""

from collections.abc import Mapping
from typing import Annotated

import msgspec

from gateway.api.call_finding import CallFinder
from gateway.api.caller import Scope
from gateway.api.endpoint import Asked, Endpoint, Handler, NoQuery
from gateway.api.problems import ProblemError
from gateway.calls.call import Call
from gateway.calls.requests import destination, unknown_destination
from gateway.calls.state import Plan
from gateway.calls.warm_order import (
    MAX_RING,
    MIN_RING,
    MOST_SUMMARY,
    TransferRefusedError,
    WarmOrder,
)
from gateway.dialer.dialer import Dialer
from gateway.dialer.numbers import NumberRefusedError
from shared import messages
from shared.e164 import NumberError

MOST_SAID = 4000
"""Letters that an agent may be told to say at once."""


_WRONG = frozenset({"summary", "ring-time", "number"})


class TransferOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Whom the caller is connected with: a name of ``TRANSFER_NUMBERS``, or E.164.

    ``warm``: they are called first, told the ``summary`` in its ``language`` (BCP 47), and asked;
    the caller hears music, and is back with the agent if they do not take the call.
    """

    to: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    warm: bool = False
    summary: Annotated[str, msgspec.Meta(max_length=MOST_SUMMARY)] = ""
    ring_seconds: Annotated[int, msgspec.Meta(ge=MIN_RING, le=MAX_RING)] | None = None
    language: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$",
            description="A language as BCP 47 writes it, de or de-DE.",
        ),
    ] = "en-US"


class SayOrder(msgspec.Struct, forbid_unknown_fields=True):
    """What the agent says, in its voice, as soon as it is not speaking."""

    text: Annotated[
        str,
        msgspec.Meta(
            min_length=1, max_length=MOST_SAID, pattern=r"\S", description="Words to be said."
        ),
    ]
    interruptible: bool = True


class DigitsOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Keys that are pressed towards the other side; ``w`` waits half a second."""

    digits: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^[0-9A-D#*wW]{1,128}$",
            description="Keys 0-9, A-D, # and *, and w or W for a wait; 128 at most.",
        ),
    ]


class CallMoved(msgspec.Struct):
    """How the call stands now."""

    sid: str
    state: str


class OrdersSection:
    """Orders to calls in progress."""

    tag = "calls"

    def __init__(
        self, finder: CallFinder, destinations: Mapping[str, str], dialer: Dialer | None = None
    ) -> None:
        self._finder, self._destinations, self._dialer = finder, destinations, dialer

    def endpoints(self) -> list[Endpoint]:
        """Return its rows of the table."""
        rows: list[tuple[str, Handler, str, type | None]] = [
            ("hangup", self._hang_up, "Hang up, after the agent's last words.", None),
            ("transfer", self._transfer, "Connect the caller with somebody else.", TransferOrder),
            ("say", self._say, "Have the agent say something.", SayOrder),
            ("digits", self._digits, "Press keys.", DigitsOrder),
        ]
        return [
            Endpoint(
                method="POST",
                path=f"/api/calls/{{sid}}/{name}",
                scope=Scope.CALLS,
                handler=handler,
                summary=summary,
                body=body,
                answer=CallMoved,
                status=202,
                refusals=(404, 409),
            )
            for name, handler, summary, body in rows
        ]

    async def _hang_up(self, asked: Asked[NoQuery, None]) -> CallMoved:
        sid, who = asked.path["sid"], asked.who
        try:
            call = await self._finder.live(sid, who)
        except ProblemError:
            # One that we place is no call of ours before it is answered.
            placed = self._dialer.following.of_call(sid) if self._dialer is not None else None
            if self._dialer is None or placed is None or not who.of(placed.company):
                raise
            self._dialer.hang_up(placed.id)
            return CallMoved(sid, "ending")
        return _left(call, call.leave(Plan.HANG_UP, "the operator hung up"))

    async def _transfer(self, asked: Asked[NoQuery, TransferOrder]) -> CallMoved:
        call = await self._finder.live(asked.path["sid"], asked.who)
        try:
            number = destination(asked.body.to, self._destinations, call.rules.numbers)
        except (NumberError, NumberRefusedError) as error:
            sentence = unknown_destination(error, self._destinations)
            raise ProblemError(422, f"{sentence}.") from error
        if asked.body.warm:
            return await _warm(call, asked.body, number)
        if asked.body.summary or asked.body.ring_seconds:
            raise ProblemError(422, "Only who is asked first is told anything: set warm to true.")
        return _left(call, call.leave(Plan.DIAL, "transferred by the operator", number))

    async def _say(self, asked: Asked[NoQuery, SayOrder]) -> CallMoved:
        call = await self._finder.live(asked.path["sid"], asked.who)
        if call.process is None:
            raise ProblemError(409, "Nobody is left in this call who could say it.")
        if call.is_elsewhere:
            raise ProblemError(409, "The caller is joined straight to the service: it speaks.")
        call.tell(messages.OperatorSays(asked.body.text, asked.body.interruptible))
        return CallMoved(call.sid, call.flow.state.value)

    async def _digits(self, asked: Asked[NoQuery, DigitsOrder]) -> CallMoved:
        call = await self._finder.live(asked.path["sid"], asked.who)
        if call.is_elsewhere:
            raise ProblemError(409, "The caller is joined straight to the service.")
        return _left(call, call.leave(Plan.DIGITS, "digits", asked.body.digits))


async def _warm(call: Call, order: TransferOrder, number: str) -> CallMoved:
    warm = WarmOrder(
        to=order.to,
        number=number,
        summary=order.summary,
        ring_seconds=order.ring_seconds or call.rules.ring_seconds,
        language=order.language,
    )
    try:
        await call.holding.begin(warm)
    except TransferRefusedError as error:
        status = 422 if error.code in _WRONG else 409
        raise ProblemError(status, f"{error}.") from error
    return CallMoved(call.sid, call.flow.state.value)


def _left(call: Call, done: bool) -> CallMoved:
    if not done:
        raise ProblemError(409, f"The call is already going to {call.flow.plan.value}.")
    return CallMoved(call.sid, call.flow.state.value)
