import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_network

import pytest

from gateway.store.company import CompanyChange
from gateway.store.store import Store
from gateway.ultravox import transcripts
from gateway.ultravox.job import Job, Sink
from gateway.ultravox.places import MOST_OF_HOST, Places
from gateway.ultravox.rest import Access
from tests.gateway.ultravox.scene import SAID, held, scene
from tests.harness import eventually

OURS = Access("https://api.ultravox.ai", "k")


def theirs(host: str) -> Access:
    return Access(f"https://{host}", "k", trusted=False)


@asynccontextmanager
async def waiting(places: Places, access: Access, count: int) -> AsyncIterator[list[int]]:
    """Have ``count`` want a place, and keep it; in the list are the numbers of who has one."""
    have = list[int]()

    async def wants(number: int) -> None:
        async with places.of(access):
            have.append(number)
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(wants(number)) for number in range(count)]
    await asyncio.sleep(0.01)
    yield have
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_a_host_has_few_places_and_those_who_wait_for_them_hold_no_others() -> None:
    places = Places()
    async with waiting(places, theirs("slow.example"), 50) as slow:
        assert len(slow) == MOST_OF_HOST
        async with waiting(places, theirs("quick.example"), 1) as other, asyncio.timeout(1):
            assert other == [0]
            async with places.of(OURS):
                pass


async def test_all_companies_together_leave_places_to_the_operator() -> None:
    places = Places()
    async with AsyncExitStack() as busy:
        for host in ("a.example", "b.example", "c.example", "d.example"):
            await busy.enter_async_context(waiting(places, theirs(host), 9))
        async with asyncio.timeout(1), places.of(OURS), places.of(OURS):
            pass
    assert len(places) == 0


async def test_a_companys_server_that_never_answers_holds_up_nobody_else(store: Store) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    async with scene(store, allowed=(ip_network("127.0.0.0/8"),)) as it:
        change = CompanyChange(
            name="Slow", speech_key="theirs", speech_url=f"http://127.0.0.1:{port}"
        )
        company = (await it.companies.create(change)).id
        until = asyncio.get_running_loop().time() + 60
        for _ in range(30):
            job = Job("CA0", str(uuid.uuid4()), company, _Nowhere(), until)
            assert it.transcripts._begin(job)
        await asyncio.sleep(0.2)
        there = held(it.fake)
        it.begin(there.id)
        it.ends()
        await eventually(it.lines, 3)
        assert await it.lines() == SAID
    server.close()


async def test_reading_one_transcript_is_bounded_in_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcripts, "READING_SECONDS", 0.3)
    began = time.monotonic()

    async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        page = b'{"results": [], "next": "http://x/?cursor=1"}'
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        while await reader.read(4096):
            await asyncio.sleep(0.1)
            writer.write(head % len(page) + page)
        writer.close()

    server = await asyncio.start_server(drips, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    async with scene(store, allowed=(ip_network("127.0.0.0/8"),), key=None) as it:
        change = CompanyChange(
            name="Slow", speech_key="theirs", speech_url=f"http://127.0.0.1:{port}"
        )
        company = (await it.companies.create(change)).id
        loop = asyncio.get_running_loop()
        job = Job("CA0", str(uuid.uuid4()), company, _Nowhere(), loop.time(), is_over_there=True)
        assert it.transcripts._begin(job)
        await eventually(lambda: not it.transcripts._jobs, 4)
        assert time.monotonic() - began < 4  # all pages would take 8 s
    server.close()


class _Nowhere(Sink):
    async def take(self, found: object) -> None:
        """Keep nothing."""

    def over(self) -> None:
        """Nothing more is coming."""
