"""What happens between an order and the carrier: a stop, a withdrawal, an answer that is lost."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Executable

from gateway.dialer.attempt import AttemptState
from gateway.dialer.errors import DialInDoubtError, DialUnavailableError
from gateway.dialer.lines import CompanyAccount
from gateway.dialer.order import Order, new_id
from gateway.store.store import StoreError
from tests.fakes.twilio_callee import Callee
from tests.fakes.twilio_rest import ACCOUNT_SID, AUTH_TOKEN, Trouble
from tests.gateway.dialer.exchange import TO, Directory, World, successor, world
from tests.harness import eventually

WAITS_SECONDS = 1.0


async def waiting(it: World, order: Order) -> "asyncio.Task[object]":
    """Give an order that waits for its turn; return when it does."""
    (await it.dialer.line(None)).pace._next = time.monotonic() + WAITS_SECONDS
    dialling = asyncio.create_task(it.dialer.dial(order))
    await eventually(lambda: len(it.dialer.following) == 1)
    return dialling


async def test_nobody_is_called_whose_turn_comes_when_the_server_stops(tmp_path: Path) -> None:
    order = Order(to=TO, key="x")
    async with world(tmp_path, lambda number: Callee(talk_s=3000)) as it:
        dialling = await waiting(it, order)
        it.dialer.draining = True
        with pytest.raises(DialUnavailableError, match="stopping"):
            await dialling
        assert not it.twilio.placed()
        await it.store.flush()
        async with successor(it) as after:  # the same order may be given again
            assert (await after.dial(order)).to == TO
        assert len(it.twilio.placed()) == 1


async def test_an_order_that_is_withdrawn_before_its_turn_calls_nobody(tmp_path: Path) -> None:
    is_wanted = True
    async with world(tmp_path) as it:
        dialling = await waiting(it, Order(to=TO, key="x", wanted=lambda: is_wanted))
        is_wanted = False
        with pytest.raises(DialUnavailableError, match="withdrawn"):
            await dialling
        assert not it.twilio.placed()


async def test_an_order_whose_intent_was_written_down_unheard_is_resolved(tmp_path: Path) -> None:
    """Or else whoever asks again would be told for ever that it is being carried out."""
    order = Order(to=TO, key="x")
    async with world(tmp_path) as it:
        await it.dialer.following.recovered.wait()
        kept = it.store._commit

        async def lost(statements: Sequence[Executable]) -> int:
            await kept(statements)
            raise StoreError("the database is away: it does not answer", away=True)

        it.store._commit = lost  # type: ignore[method-assign]
        with pytest.raises(DialUnavailableError):
            await it.dialer.dial(order)
        it.store._commit = kept  # type: ignore[method-assign]
        with pytest.raises(DialInDoubtError):
            await it.dialer.dial(order)

        async def given_up() -> bool:
            found = await it.dialer.progress(new_id(order))
            return found is not None and found.state is AttemptState.LOST

        await eventually(given_up, 5)
        assert not it.twilio.placed()


async def test_a_call_is_not_looked_for_in_an_account_through_which_it_was_not_placed(
    tmp_path: Path,
) -> None:
    """There it is missing for sure, and would be placed a second time."""
    known = {1: CompanyAccount(1, ACCOUNT_SID, AUTH_TOKEN, caller_id="+15550001111")}
    async with world(tmp_path, companies=Directory(known)) as it:
        it.twilio.trouble(Trouble.CUT)
        order = Order(to=TO, company=1, key="x")
        dialling = asyncio.create_task(it.dialer.dial(order))
        await eventually(lambda: it.dialer.following.get(new_id(order)))
        attempt = it.dialer.following.get(new_id(order))
        assert attempt is not None
        known[1] = replace(known[1], account_sid="AC" + "b" * 32)
        with pytest.raises(DialInDoubtError):
            await dialling
        assert attempt.state is AttemptState.DOUBT
        known[1] = replace(known[1], account_sid=ACCOUNT_SID)
        await eventually(lambda: attempt.state is AttemptState.LOST, 10)


async def test_somebody_who_has_answered_was_reached_though_their_call_was_deleted(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, lambda number: Callee(talk_s=1e6)) as it:
        dialled = await it.dialer.dial(Order(to=TO, most_seconds=14_400))
        attempt = it.dialer.following.get(dialled.id)
        assert attempt is not None
        await eventually(lambda: attempt.state is AttemptState.ANSWERED)
        del it.twilio.account.calls[dialled.call_sid]
        await it.dialer.following._look_at(attempt)
        assert (attempt.state, attempt.status) == (AttemptState.ENDED, "completed")
