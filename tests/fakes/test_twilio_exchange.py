"""The exchange of the fake Twilio: what becomes of calls, and what is told of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from phone import CalleeOutcome, Phone, PhoneSettings
from phone.events import VerbBegun
from phone.signature import Signer
from tests.fakes.twilio_callee import Callee
from tests.fakes.twilio_rest import ACCOUNT_SID, AUTH_TOKEN, Trouble, TwilioRestServer
from tests.harness import eventually

TO, FROM = "+493012345678", "+15557654321"


class Office:
    """Takes the webhooks, checks their signatures, and has them in order of arrival."""

    def __init__(self) -> None:
        self.told: list[dict[str, str]] = []
        self.url = ""
        self.document = "<Response/>"

    async def take(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        expected = Signer(AUTH_TOKEN).http(self.url + str(request.rel_url), form)
        assert request.headers["X-Twilio-Signature"] == expected
        self.told.append({"path": str(request.rel_url)} | form)
        return web.Response(text=self.document, content_type="text/xml")

    def statuses(self) -> list[str]:
        return [it["CallStatus"] for it in self.told if "SequenceNumber" in it]


@asynccontextmanager
async def world(
    callee: Callee, speed: float = 50.0, calls_per_second: float = 1000.0
) -> AsyncIterator[tuple[TwilioRestServer, Office]]:
    office, app = Office(), web.Application()
    app.router.add_route("*", "/{path:.*}", office.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    office.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with TwilioRestServer(
            callee=lambda number: callee, speed=speed, calls_per_second=calls_per_second
        ) as twilio:
            yield twilio, office
    finally:
        await runner.cleanup()


async def ask(
    twilio: TwilioRestServer, method: str, path: str, **form: str | list[str]
) -> tuple[int, dict[str, object]]:
    url = f"{twilio.base_url}/2010-04-01/Accounts/{ACCOUNT_SID}{path}"
    headers = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT_SID, AUTH_TOKEN)}
    body = {"params": form} if method == "GET" else {"data": aiohttp.FormData(_pairs(form))}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, headers=headers, **body) as answer,
    ):
        return answer.status, await answer.json()


def _pairs(form: dict[str, str | list[str]]) -> list[tuple[str, str]]:
    return [(k, v) for k, vs in form.items() for v in ([vs] if isinstance(vs, str) else vs)]


async def dial(twilio: TwilioRestServer, office: Office, **more: str | list[str]) -> str:
    """Place a call; return its SID."""
    status, call = await ask(
        twilio,
        "POST",
        "/Calls.json",
        **{
            "To": TO,
            "From": FROM,
            "Url": f"{office.url}/voice?dial=1",
            "StatusCallback": f"{office.url}/status?dial=1",
            "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
            **more,
        },
    )
    assert status == 201, call
    return str(call["sid"])


@pytest.mark.parametrize(
    ("outcome", "statuses"),
    [
        (CalleeOutcome.ANSWERED, ["initiated", "ringing", "in-progress", "completed"]),
        (CalleeOutcome.BUSY, ["initiated", "ringing", "busy"]),
        (CalleeOutcome.NO_ANSWER, ["initiated", "ringing", "no-answer"]),
        (CalleeOutcome.FAILED, ["initiated", "ringing", "failed"]),
    ],
)
async def test_a_call_goes_through_its_states_and_each_is_told(
    outcome: CalleeOutcome, statuses: list[str]
) -> None:
    async with world(Callee(outcome), speed=1000) as (twilio, office):
        sid = await dial(twilio, office)
        await twilio.exchange.idle()
        assert office.statuses() == statuses
        assert [it["SequenceNumber"] for it in office.told] == [
            str(i) for i in range(len(statuses))
        ]
        assert {it["CallSid"] for it in office.told} == {sid}
        _, shown = await ask(twilio, "GET", f"/Calls/{sid}.json")
        assert shown["status"] == statuses[-1]
        _, log = await ask(twilio, "GET", f"/Calls/{sid}/Events.json")
        assert len(log["events"]) == len(statuses)  # type: ignore[arg-type]


async def test_a_callee_that_rings_too_long_has_not_answered() -> None:
    async with world(Callee(ring_s=60), speed=1000) as (twilio, office):
        await dial(twilio, office, Timeout="20")
        await twilio.exchange.idle()
        assert office.statuses()[-1] == "no-answer"


async def test_calls_beyond_the_rate_wait_and_one_canceled_meanwhile_is_never_told_of() -> None:
    async with world(Callee(talk_s=1), speed=1000, calls_per_second=1.0) as (twilio, office):
        first, second, third = [await dial(twilio, office) for _ in range(3)]
        _, shown = await ask(twilio, "GET", f"/Calls/{third}.json")
        assert (shown["status"], shown["start_time"]) == ("queued", None)
        await ask(twilio, "POST", f"/Calls/{third}.json", Status="canceled")
        await twilio.exchange.idle()
        assert {it["CallSid"] for it in office.told} == {first, second}
        assert twilio.account.calls[third].status == "canceled"


async def test_a_call_is_ended_by_rest_while_it_rings_and_while_it_is_talked() -> None:
    async with world(Callee(ring_s=0, talk_s=3600), speed=10) as (twilio, office):
        sid = await dial(twilio, office)
        await eventually(lambda: twilio.account.calls[sid].status == "in-progress")
        await ask(twilio, "POST", f"/Calls/{sid}.json", Status="completed")
        await twilio.exchange.idle()
        assert office.statuses()[-1] == "completed"


@pytest.mark.parametrize(
    ("callee", "mode", "verdict"),
    [
        (Callee(), "Enable", "human"),
        (Callee(machine="beep"), "Enable", "machine_start"),
        (Callee(machine="beep"), "DetectMessageEnd", "machine_end_beep"),
        (Callee(machine="silence"), "DetectMessageEnd", "machine_end_silence"),
        (Callee(machine="fax"), "DetectMessageEnd", "fax"),
        (Callee(verdict="unknown"), "Enable", "unknown"),
    ],
)
async def test_who_has_answered_is_told_while_the_call_goes_on(
    callee: Callee, mode: str, verdict: str
) -> None:
    async with world(callee, speed=1000) as (twilio, office):
        sid = await dial(
            twilio,
            office,
            MachineDetection=mode,
            AsyncAmd="true",
            AsyncAmdStatusCallback=f"{office.url}/amd",
        )
        await twilio.exchange.idle()
        told = [it for it in office.told if "AnsweredBy" in it]
        assert [(it["path"], it["AnsweredBy"]) for it in told] == [("/amd", verdict)]
        assert twilio.account.calls[sid].answered_by == verdict


async def test_callbacks_come_late_twice_backwards_or_never_as_asked() -> None:
    async with world(Callee(), speed=1000) as (twilio, office):
        twilio.exchange.faults.twice = True
        twilio.exchange.faults.backwards = True
        twilio.exchange.faults.lost = frozenset({"ringing"})
        await dial(twilio, office)
        await twilio.exchange.idle()
        assert office.statuses() == [
            *("completed", "completed", "in-progress", "in-progress", "initiated", "initiated")
        ]


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"Nonsense": "1"}, 20001),
        ({"MachineDetection": "Detect"}, 20001),
        ({"MachineDetectionTimeout": "2"}, 20001),
        ({"StatusCallbackEvent": "finished"}, 20001),
        ({"TimeLimit": "0"}, 20001),
        ({"To": FROM}, 21266),
        ({"To": "+15005550004"}, 21216),
        ({"To": "+15005550009"}, 21219),
    ],
)
async def test_what_twilio_refuses_makes_no_call(form: dict[str, str], code: int) -> None:
    async with world(Callee()) as (twilio, office):
        twilio.account.verified = {TO, "+15005550004", FROM}
        twilio.account.blocked["+15005550004"] = 21216
        whole = {"To": TO, "From": FROM, "Url": f"{office.url}/voice"} | form
        status, answer = await ask(twilio, "POST", "/Calls.json", **whole)
        assert (status, answer["code"]) == (400, code)
        assert not twilio.account.calls


async def test_the_list_is_filtered_and_paged_the_newest_first() -> None:
    async with world(Callee(), speed=1000) as (twilio, office):
        sids = [await dial(twilio, office) for _ in range(5)]
        await twilio.exchange.idle()
        _, page = await ask(twilio, "GET", "/Calls.json", To=TO, PageSize="2")
        seen = [it["sid"] for it in page["calls"]]  # type: ignore[attr-defined]
        while page["next_page_uri"]:
            path = str(page["next_page_uri"]).partition(ACCOUNT_SID)[2]
            path, _, query = path.partition("?")
            form = dict(pair.split("=") for pair in query.replace("%2B", "+").split("&"))
            _, page = await ask(twilio, "GET", path, **form)
            seen += [it["sid"] for it in page["calls"]]  # type: ignore[attr-defined]
        assert seen == sids[::-1]
        _, none = await ask(twilio, "GET", "/Calls.json", To="+15550000000")
        assert none["calls"] == []


@pytest.mark.parametrize("trouble", [Trouble.CUT_AFTER, Trouble.ERROR_AFTER])
async def test_a_call_may_be_placed_though_its_answer_is_lost(trouble: Trouble) -> None:
    async with world(Callee(), speed=1000) as (twilio, office):
        twilio.trouble(trouble)
        try:
            with pytest.raises(AssertionError):
                await dial(twilio, office)
        except aiohttp.ClientError:
            pass
        await twilio.exchange.idle()
        assert office.statuses()[-1] == "completed"


async def test_too_many_requests_at_once_are_refused_and_not_carried_out() -> None:
    async with world(Callee(), speed=1000) as (twilio, office):
        twilio.most_requests, twilio.slow_s = 1, 0.2
        results = await asyncio.gather(
            *(dial(twilio, office) for _ in range(3)), return_exceptions=True
        )
        assert sum(isinstance(it, str) for it in results) == 1
        await twilio.exchange.idle()
        assert len(twilio.account.calls) == 1


async def test_hundreds_of_callees_without_media_are_cheap() -> None:
    async with world(Callee(talk_s=10), speed=1000) as (twilio, office):
        await asyncio.gather(*(dial(twilio, office) for _ in range(200)))
        await twilio.exchange.idle()
        assert len(office.told) == 800
        assert not twilio.exchange.problems


async def test_a_call_that_came_in_is_redirected_and_ended_by_rest() -> None:
    """Its phone is Twilio's caller: instructions by REST reach it while it is on the line."""
    async with world(Callee()) as (twilio, office):
        phone = Phone(
            f"{office.url}/voice",
            auth_token=AUTH_TOKEN,
            account_sid=ACCOUNT_SID,
            settings=PhoneSettings(verb_speed=20),
        )
        office.document = '<Response><Pause length="60000"/></Response>'
        async with phone.dial() as caller:
            twilio.exchange.take(caller)
            await caller.seen(VerbBegun)
            hold = '<Response><Say loop="0">Wait.</Say></Response>'
            status, _ = await ask(twilio, "POST", f"/Calls/{caller.sid}.json", Twiml=hold)
            assert status == 200
            await eventually(
                lambda: "Wait." in [v.detail for v in caller.events if isinstance(v, VerbBegun)]
            )
            before = len(caller.events)
            await ask(twilio, "POST", f"/Calls/{caller.sid}.json", Status="completed")
            report = await caller.ended()
            assert report.status == "completed"
            assert len(report.events) > before
        await eventually(lambda: not twilio.exchange.phones)
        status, refused = await ask(twilio, "POST", f"/Calls/{caller.sid}.json", Twiml=hold)
        assert (status, refused["code"]) == (400, 21220)
