"""All warm transfers: who is called for whom, and whose webhooks and callbacks are whose.

A human's webhook that belongs to no transfer any more, because the caller is gone or the gateway
was started again, is answered by an excuse: no agent ever talks to them.
"""

import secrets
from typing import Protocol

import structlog

from gateway.calls.answers import Answer, Excuse, IncomingCall
from gateway.calls.holding import Holding
from gateway.calls.warm_order import TransferRefusedError, WarmOrder
from gateway.carriers.placing import Machine
from gateway.dialer.attempt import Attempt
from gateway.dialer.errors import DialError, DialRefusedError
from gateway.dialer.following import Following
from gateway.dialer.numbers import NumberRefusedError
from gateway.dialer.order import Order
from gateway.transfers.warm import Dials, WarmTransfer
from gateway.transfers.words import words_of

log = structlog.get_logger(__name__)

GONE = Excuse(words_of("en").gone, "en-US")


class Dialer(Dials, Protocol):
    """Who places calls and follows them."""

    following: Following

    async def check(self, order: Order) -> None:
        """Raise what would refuse an order."""

    async def company_of(self, account_sid: str) -> int | None:
        """Return whose own account it is. Raises `DialUnavailableError`."""


class TransferDesk:
    """The transfers of one gateway. ``account_sid`` is the operator's account, if it is known."""

    def __init__(self, dialer: Dialer, account_sid: str | None) -> None:
        self._dialer, self._account_sid = dialer, account_sid
        self._by_marker: dict[str, WarmTransfer] = {}
        self._by_room: dict[str, WarmTransfer] = {}
        dialer.following.listeners.append(self._follow)

    def __len__(self) -> int:
        return len(self._by_marker)

    async def prepare(self, caller: Holding, order: WarmOrder) -> WarmTransfer:
        """Return a transfer that may begin. Raises `TransferRefusedError`."""
        it = caller.incoming
        try:
            company = await self._company(it)
            dial = Order(
                to=order.number,
                company=company,
                machine=Machine.HANG_UP,
                ring_seconds=order.ring_seconds,
                key=secrets.token_hex(16),
                transfer_of=it.sid,
            )
            await self._dialer.check(dial)
        except DialRefusedError as error:
            raise TransferRefusedError(error.reason, str(error)) from error
        except (DialError, NumberRefusedError) as error:
            raise TransferRefusedError("dial", str(error)) from error
        transfer = WarmTransfer(caller, order, dial, self._dialer, self._over)
        self._by_marker[transfer.marker] = self._by_room[transfer.room] = transfer
        return transfer

    async def _company(self, it: IncomingCall) -> int | None:
        """Return through whose account the human is called: a room is one account's."""
        if it.placed is not None and it.placed.company is not None:
            return it.placed.company
        if it.account_sid == self._account_sid:
            return None
        company = await self._dialer.company_of(it.account_sid)
        if company is None and self._account_sid is not None:
            sentence = f"the call came through account {it.account_sid}, which is no company's"
            raise TransferRefusedError("account", sentence)
        return company

    def _over(self, transfer: WarmTransfer) -> None:
        self._by_marker.pop(transfer.marker, None)
        self._by_room.pop(transfer.room, None)

    # What happens to humans ----------------------------------------------------------------------

    def _follow(self, attempt: Attempt) -> None:
        transfer = self._by_marker.get(attempt.id)
        if transfer is not None:
            transfer.follow(attempt)

    def answered(self, marker: str, human: IncomingCall) -> Answer | None:
        """A call that we placed was answered; ``None`` if it is for no transfer."""
        transfer = self._by_marker.get(marker)
        if transfer is not None:
            return transfer.answered(human)
        is_for_one = human.placed is not None and human.placed.transfer_of
        return GONE if is_for_one else None

    def replied(self, marker: str, attempt: int, digits: str, speech: str) -> Answer:
        """A human was asked for the ``attempt``-th time."""
        transfer = self._by_marker.get(marker)
        return GONE if transfer is None else transfer.replied(attempt, digits, speech)

    def is_open(self, room: str) -> bool:
        """Whether somebody may come into a room, or has: a transfer is under way there."""
        transfer = self._by_room.get(room)
        return transfer is not None and not transfer.is_missed

    def in_room(self, room: str, call_sid: str, *, came: bool) -> None:
        """Somebody has come into a room, or has left it."""
        transfer = self._by_room.get(room)
        if transfer is None:
            return
        if came:
            transfer.came_in(call_sid)
        else:
            transfer.went_out(call_sid)
