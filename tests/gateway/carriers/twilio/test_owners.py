"""Whose call a webhook is about, also while the database does not answer."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import httpx2
import pytest

from gateway.api import Api
from gateway.app import application
from gateway.calls.registry import Calls
from gateway.carriers.twilio import owners
from gateway.carriers.twilio.owners import Owners
from gateway.carriers.twilio.routes import TwilioOptions, TwilioRoutes
from gateway.carriers.twilio.signature import SignatureCheck
from gateway.farm.farm import Farm
from gateway.store.engine import open_store
from gateway.store.errors import StoreError
from gateway.store.records import CallBook
from gateway.store.store import Upsert
from gateway.throttle import Throttle
from shared import messages
from tests.gateway.calls.actors import SID, FakeFarm, office
from tests.gateway.carriers.twilio.signing import sign
from tests.harness import eventually

OURS, THEIRS, OTHERS = ("AC" + digit * 32 for digit in "012")
TOKENS = {OURS: "the operator's", THEIRS: "theirs", OTHERS: "others'"}
VOICE, NEXT, STATUS = "/twilio/voice", "/twilio/next", "/twilio/status"
RECORDING = {"RecordingSid": "RE" + "3" * 32, "RecordingStatus": "completed", "RecordingUrl": "u"}


@dataclass
class Book:
    """A database that hangs while ``hangs``."""

    accounts: dict[str, str] = field(default_factory=dict)
    hangs: bool = True
    asked: int = 0

    async def account_of(self, sid: str) -> str | None:
        self.asked += 1
        while self.hangs:  # noqa: ASYNC110 - as a lock in the database is waited for
            await asyncio.sleep(0.01)
        return self.accounts.get(sid)


@dataclass
class Desk:
    calls: Calls
    farm: FakeFarm
    owners: Owners
    client: httpx2.AsyncClient

    async def hears(self, path: str, account: str, sid: str = SID, **more: str) -> httpx2.Response:
        """A webhook comes in, signed with its account's token."""
        fields = {"CallSid": sid, "AccountSid": account, "From": "+1", "To": "+2", **more}
        fields.setdefault("CallStatus", "ringing")
        signature = sign("https://example.com" + path, tuple(fields.items()), TOKENS[account])
        headers = {"X-Twilio-Signature": signature}
        return await self.client.post(path, data=fields, headers=headers)


@asynccontextmanager
async def desk(account_of: Callable[[str], Awaitable[str | None]]) -> AsyncIterator[Desk]:
    calls, farm = office()
    whose = Owners(calls, account_of, OURS)

    def tokens(account: str) -> tuple[str, ...]:
        return TOKENS[OURS], TOKENS[account]

    twilio = TwilioRoutes(
        calls,
        SignatureCheck(tokens, "https://example.com"),
        Throttle(lambda: 0.0, free=10**9),
        None,
        TwilioOptions(20_000, None, None, OURS),
        owners=whose,
    )
    farm_ = cast("Farm", farm)
    app = application(calls, farm_, twilio, Api(calls, farm_, "api-token", {}), "")
    running = asyncio.create_task(whose.run())
    transport = httpx2.ASGITransport(app=app, client=("192.0.2.1", 4711))
    async with httpx2.AsyncClient(transport=transport, base_url="http://inside") as client:
        yield Desk(calls, farm, whose, client)
    farm.close()
    running.cancel()
    await asyncio.wait([running])


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(owners, "PATIENT_SECONDS", 0.3)
    monkeypatch.setattr(owners, "AGAIN_SECONDS", 0.05)


@pytest.mark.parametrize("path", [STATUS, "/twilio/recording", "/twilio/stream", "/twilio/amd"])
async def test_a_slow_database_lets_no_account_tell_of_anothers_call(path: str) -> None:
    told = list[messages.Event]()
    async with desk(Book({SID: THEIRS}).account_of) as it:
        it.calls.late = lambda sid, event: told.append(event)  # type: ignore[method-assign]
        answer = await it.hears(path, OTHERS, CallStatus="completed", **RECORDING)
        assert (answer.status_code, "tell it again" in answer.text) == (503, True)
        answer = await it.hears(NEXT, OTHERS, DialCallStatus="completed")
        assert answer.status_code == 503
    assert told == []
    assert not it.farm.workers


async def test_who_is_not_on_the_line_waits_for_a_slow_database() -> None:
    book = Book({SID: THEIRS})
    async with desk(book.account_of) as it:
        asyncio.get_running_loop().call_later(0.15, setattr, book, "hangs", False)
        asked = (it.hears(STATUS, account, CallStatus="completed") for account in (THEIRS, OTHERS))
        answers = await asyncio.gather(*asked)
    assert [answer.status_code for answer in answers] == [204, 403]


async def test_a_call_in_progress_and_one_just_over_are_told_of_without_the_database() -> None:
    book = Book(hangs=False)
    async with desk(book.account_of) as it:
        assert (await it.hears(VOICE, THEIRS)).status_code == 200
        book.hangs, asked = True, book.asked
        for account, status in ((THEIRS, 204), (OTHERS, 403), (THEIRS, 204)):
            answer = await it.hears(STATUS, account, CallStatus="in-progress")
            assert answer.status_code == status
        it.farm.workers[-1].exit()
        assert (await it.hears(STATUS, THEIRS, CallStatus="completed")).status_code == 204
        await eventually(lambda: it.calls.get(SID) is None)
        it.calls._past.clear()
        for account, status in ((THEIRS, 204), (OTHERS, 403)):
            answer = await it.hears("/twilio/recording", account, **RECORDING)
            assert answer.status_code == status
        assert book.asked == asked


async def test_what_the_database_has_said_once_is_remembered() -> None:
    book = Book({SID: THEIRS}, hangs=False)
    async with desk(book.account_of) as it:
        await it.hears(STATUS, OTHERS)
        book.hangs = True
        assert (await it.hears(STATUS, OTHERS)).status_code == 403
        assert (await it.hears(VOICE, OTHERS)).status_code == 403
        assert (await it.hears(STATUS, THEIRS)).status_code == 204
    assert book.asked == 1


async def test_a_new_caller_does_not_wait_for_the_database() -> None:
    book = Book()
    async with desk(book.account_of) as it:
        began = time.monotonic()
        answer = await it.hears(VOICE, THEIRS)
        assert (answer.status_code, "<Stream" in answer.text) == (200, True)
        assert time.monotonic() - began < 2
        assert (await it.hears(STATUS, THEIRS, CallStatus="in-progress")).status_code == 204
        assert (await it.hears(STATUS, OTHERS, CallStatus="in-progress")).status_code == 503
        book.hangs = False
        await eventually(lambda: not it.owners._doubts)
        call = it.calls.get(SID)
        assert call is not None
        assert not call.flow.over
        book.hangs = True
        assert (await it.hears(STATUS, OTHERS, CallStatus="in-progress")).status_code == 403


async def test_a_call_that_was_taken_in_doubt_ends_when_it_is_anothers() -> None:
    book = Book({SID: OTHERS})
    async with desk(book.account_of) as it:
        assert (await it.hears(VOICE, THEIRS)).status_code == 200
        call = it.calls.get(SID)
        assert call is not None
        book.hangs = False
        await eventually(lambda: call.flow.reason == "the call is another account's")
        assert (await it.hears(NEXT, OTHERS, CallStatus="completed")).status_code in (200, 403)
        assert (await it.hears("/twilio/amd", THEIRS, sid="CA" + "9" * 32)).status_code == 204


async def test_the_operators_own_account_is_believed_without_the_database() -> None:
    async with desk(Book({SID: THEIRS}).account_of) as it:
        assert (await it.hears(STATUS, OURS)).status_code == 204


async def test_a_token_of_another_account_is_never_good_whatever_the_database_does() -> None:
    async def broken(sid: str) -> str | None:
        raise StoreError("away", away=True)

    for account_of in (Book().account_of, broken):
        async with desk(account_of) as it:
            fields = {"CallSid": SID, "AccountSid": THEIRS, "CallStatus": "ringing"}
            signature = sign("https://example.com" + VOICE, tuple(fields.items()), TOKENS[OTHERS])
            headers = {"X-Twilio-Signature": signature}
            answer = await it.client.post(VOICE, data=fields, headers=headers)
            assert answer.status_code == 403
            assert not it.farm.workers


async def test_a_record_stays_with_the_account_that_had_it_first(tmp_path: Path) -> None:
    store = await open_store(None, tmp_path)
    for account, company in ((THEIRS, 1), (OTHERS, 2)):
        values = {"sid": SID, "began": 1.0, "account_sid": account, "company_id": company}
        store.write(Upsert("calls", values))
        await store.flush()
    assert await CallBook(store).account_of(SID) == THEIRS
    whole = await CallBook(store).call(SID)
    assert whole is not None
    assert whole.call.company_id == 1
    await store.aclose()
