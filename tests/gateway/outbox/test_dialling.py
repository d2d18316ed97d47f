import asyncio
import ipaddress
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.outbox.courier import MOST_ANSWER, Answered, Courier
from gateway.outbox.dialling import Lines, resolve
from gateway.outbox.lookups import MOST_LOOKUPS
from gateway.outbox.parcel import Parcel
from tests.fakes.certificates import LOCALHOST
from tests.fakes.n8n import Answer, N8nFake

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1"))


class Names:
    """A name server that answers as it is told, and counts."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers, self.asked = list(answers), 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return self.answers[min(self.asked, len(self.answers)) - 1]


def courier(names: Names | None = None, allowed: bool = False, seconds: float = 5.0) -> Courier:
    context = ssl.create_default_context(cadata=LOCALHOST.chain)
    lines = Lines(context, LOOPBACK if allowed else (), names or resolve)
    return Courier(lines, seconds)


def parcel(url: str, trusted: bool = False) -> Parcel:
    return Parcel(url, b'{"a":1}', {"Idempotency-Key": "dl_1"}, trusted)


def tls(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*LOCALHOST.write(folder))
    return context


async def brought(
    url: str, names: Names | None = None, *, allowed: bool = False, trusted: bool = False
) -> Answered:
    sender = courier(names, allowed)
    try:
        return await sender.bring(parcel(url, trusted))
    finally:
        await sender.aclose()


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["::1"], ["8.8.8.8", "127.0.0.1"], ["::ffff:127.0.0.1"], ["169.254.169.254"]],
)
async def test_a_name_that_leads_inside_is_refused_and_nobody_is_dialled(
    addresses: list[str],
) -> None:
    names = Names(addresses)
    answered = await brought("https://hooks.example.com/webhook/calls", names)
    assert answered.tried.hopeless
    assert "not a public one" in (answered.tried.error or "")
    assert addresses[-1] not in (answered.tried.error or "")
    assert names.asked == 1


async def test_the_address_that_is_checked_is_the_one_that_is_dialled() -> None:
    async with N8nFake() as n8n:
        # A second look-up would lead elsewhere: there is none.
        names = Names(["127.0.0.1"], ["127.0.0.2"])
        url = f"http://n8n.internal:{n8n.port}/webhook/calls"
        answered = await brought(url, names, allowed=True)
        assert answered.tried.is_delivered
        assert names.asked == 1
        assert n8n.received[0].headers["host"] == f"n8n.internal:{n8n.port}"


async def test_a_name_that_turns_inside_later_is_refused_then() -> None:
    async with N8nFake() as n8n:
        names = Names(["127.0.0.1"], ["10.0.0.1"])
        sender = courier(names, allowed=True)
        url = f"http://n8n.internal:{n8n.port}/webhook/calls"
        n8n.otherwise = Answer(headers={"Connection": "close"})
        assert (await sender.bring(parcel(url))).tried.is_delivered
        assert (await sender.bring(parcel(url))).tried.hopeless
        assert len(n8n.received) == 1
        await sender.aclose()


async def test_a_company_never_rides_on_a_connection_that_was_opened_for_the_operator() -> None:
    async with N8nFake() as n8n:
        sender = courier()
        url = f"{n8n.url}/webhook/calls"
        assert (await sender.bring(parcel(url, trusted=True))).tried.is_delivered
        assert (await sender.bring(parcel(url))).tried.hopeless
        assert len(n8n.received) == 1
        await sender.aclose()


async def test_the_certificate_is_that_of_the_name_and_not_of_the_address(tmp_path: Path) -> None:
    async with N8nFake(tls=tls(tmp_path)) as n8n:
        names = Names(["127.0.0.1"])
        good = f"https://localhost:{n8n.port}/webhook/calls"
        assert (await brought(good, names, allowed=True)).tried.is_delivered
        other = f"https://other.example:{n8n.port}/webhook/calls"
        refused = await brought(other, names, allowed=True)
        assert not refused.tried.is_delivered
        assert "no connection" in (refused.tried.error or "")


async def test_the_next_address_is_dialled_when_one_does_not_answer() -> None:
    async with N8nFake() as n8n:
        names = Names(["127.0.0.9", "127.0.0.1"])
        url = f"http://n8n.internal:{n8n.port}/webhook/calls"
        assert (await brought(url, names, allowed=True)).tried.is_delivered


async def test_the_operators_own_address_may_lead_anywhere() -> None:
    async with N8nFake() as n8n:
        assert (await brought(f"{n8n.url}/webhook/calls", trusted=True)).tried.is_delivered


async def test_a_redirect_is_not_followed() -> None:
    async with N8nFake() as n8n:
        n8n.answers = [Answer(302, headers={"Location": "http://127.0.0.1:1/"})]
        answered = await brought(f"{n8n.url}/webhook/calls", trusted=True)
        assert (answered.tried.status, answered.tried.is_delivered) == (302, False)
        assert "not followed" in (answered.tried.error or "")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(500), "answered 500"),
        (Answer(garbage=True), "not HTTP"),
        (Answer(cut=True), "not HTTP"),
        (Answer(delay_s=5.0), "no answer within 0.3 s"),
    ],
    ids=["500", "garbage", "cut", "slow"],
)
async def test_what_goes_wrong_is_said_in_a_sentence(answer: Answer, error: str) -> None:
    async with N8nFake() as n8n:
        n8n.answers = [answer]
        sender = courier(seconds=0.3)
        answered = await sender.bring(parcel(f"{n8n.url}/webhook/calls?key=s3cret", trusted=True))
        assert error in (answered.tried.error or "")
        assert "s3cret" not in (answered.tried.error or "")
        await sender.aclose()


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/", "https://127.0.0.1:1/", "http://does-not-exist.invalid/", "nonsense"],
)
async def test_nobody_there_is_a_failure_and_no_error(url: str) -> None:
    answered = await brought(url, trusted=True)
    assert not answered.tried.is_delivered
    assert answered.tried.error


async def test_an_answer_without_end_is_read_to_a_limit() -> None:
    async with N8nFake() as n8n:
        n8n.otherwise = Answer(body=b"x" * (4 << 20))
        sender = courier()
        answered = await sender.bring(parcel(f"{n8n.url}/webhook/calls", trusted=True))
        assert len(answered.body) == MOST_ANSWER
        assert answered.tried.is_delivered
        await sender.aclose()


async def test_a_dead_name_server_takes_few_threads_and_holds_up_no_operators_address() -> None:
    """A look-up that was given up goes on: its thread is not free before the resolver ends."""
    ends, running = asyncio.Event(), 0

    async def dead(host: str, port: int) -> Sequence[str]:
        nonlocal running
        running += 1
        await ends.wait()
        raise OSError("no name server answers")

    context = ssl.create_default_context(cadata=LOCALHOST.chain)
    sender = Courier(Lines(context, (), dead), 0.2)
    async with N8nFake() as n8n:
        for _ in range(3):
            tried = await asyncio.gather(
                *(sender.bring(parcel(f"https://a{n}.example/")) for n in range(4))
            )
            assert {it.tried.error for it in tried} == {"no answer within 0.2 s"}
        assert running == MOST_LOOKUPS
        answered = await sender.bring(parcel(n8n.url + "/webhook/calls", trusted=True), 5.0)
        assert answered.tried.status == 200
        ends.set()
        again = await sender.bring(parcel("https://a.example/"), 5.0)
        assert again.tried.error == "no connection: the host's name cannot be looked up"
        assert running == MOST_LOOKUPS + 1
    await sender.aclose()
