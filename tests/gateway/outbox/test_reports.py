import asyncio
from ipaddress import ip_network
from typing import Any, cast

from sqlalchemy import select

from gateway.calls.registry import Calls
from gateway.calls.stream import CallStream
from gateway.farm.farm import Farm
from gateway.media.listener import StreamStart
from gateway.outbox.event import Endpoint
from gateway.outbox.made import tell_lost
from gateway.outbox.outbox import Outbox
from gateway.outbox.reports import ReportingRecords
from gateway.store.recorder import StoreRecords, mark_lost
from gateway.store.records import CallBook
from gateway.store.store import Store
from gateway.store.tables import calls as calls_table
from shared import messages
from tests.fakes.n8n import N8nFake
from tests.gateway.calls.actors import RULES, SID, FakeFarm, Socket, Worker, incoming
from tests.gateway.outbox.post_office import outbox
from tests.gateway.outbox.test_outbox import at
from tests.harness import eventually


class Farmed:
    """Calls whose end is told."""

    def __init__(self, store: Store, box: Outbox) -> None:
        self.farm = FakeFarm()
        records = ReportingRecords(store, lambda account, number: None, box)
        self.calls = Calls(cast("Farm", self.farm), RULES, 10, records=records)

    def call(self) -> Worker:
        """Let a call come in; return its process."""
        self.calls.incoming(incoming())
        return self.farm.workers[-1]

    def streams(self) -> CallStream:
        """Open its stream."""
        call = self.calls.get(SID)
        assert call is not None
        stream = CallStream(call)
        stream.stream_started(cast("Any", Socket()), StreamStart("MZ1", {}))
        return stream

    def says(self, command: messages.Command) -> None:
        """Its process says something."""
        call = self.calls.get(SID)
        assert call is not None
        call.frame(messages.encode(command))

    def ends(self) -> None:
        """The carrier says that it is over."""
        call = self.calls.get(SID)
        assert call is not None
        call.status("completed", True)


async def test_a_whole_call_is_told_of_twice(store: Store) -> None:
    async with N8nFake() as n8n, outbox(store, at(n8n)) as box:
        it = Farmed(store, box)
        worker = it.call()
        await eventually(lambda: n8n.bodies("call.started"))
        started = n8n.bodies("call.started")[0]
        assert started["call"]["sid"] == SID
        assert started["call"]["number"] == "+1"
        it.says(messages.Running("desk:Desk"))
        it.streams()
        it.says(messages.Said("agent", "Good evening.", 100.0))
        it.says(messages.Said("caller", "A table, please.", 900.0))
        it.says(messages.ToolRan("book", '{"people":2}', "ok", "booked", 0.2, 1000.0))
        it.says(messages.TurnTimed(0, {"greeting_sent": 5.0}))
        it.says(messages.Checkpoint(b"\x81\xa6people\x02"))
        it.ends()
        await asyncio.sleep(0.1)
        assert not n8n.bodies("call.ended")
        it_says_last = messages.Said("agent", "Goodbye.", 1500.0)
        # What a process writes down in its last moments is told as well.
        assert it.calls.get(SID) is not None
        it.says(it_says_last)
        worker.exit()
        await eventually(lambda: n8n.bodies("call.ended"))
        data = n8n.bodies("call.ended")[0]["data"]
        assert (data["outcome"], data["status"]) == ("completed", "completed")
        assert [line["text"] for line in data["transcript"]] == [
            "Good evening.",
            "A table, please.",
            "Goodbye.",
        ]
        assert data["tools"][0]["name"] == "book"
        assert data["state"] == {"people": 2}
        assert data["seconds"] >= 0
        assert n8n.bodies("call.ended")[0]["call"]["agent"] == "desk:Desk"
        await asyncio.sleep(0.1)
        assert [body["event"] for body in n8n.bodies()] == ["call.started", "call.ended"]
        assert await store.flush()
        rows = await store.rows(select(calls_table.c.outcome))
        assert [row["outcome"] for row in rows] == ["completed"]


async def test_a_call_whose_process_died_is_told_of_all_the_same(store: Store) -> None:
    async with N8nFake() as n8n, outbox(store, at(n8n)) as box:
        it = Farmed(store, box)
        worker = it.call()
        it.streams()
        it.says(messages.Said("caller", "Hello?", 100.0))
        worker.exit(code=None, signal=9)
        it.ends()
        await eventually(lambda: n8n.bodies("call.ended"))
        data = n8n.bodies("call.ended")[0]["data"]
        assert data["transcript"][0]["text"] == "Hello?"
        assert "SIGKILL" in data["exit"] or "9" in data["exit"]


async def test_what_an_agent_emits_is_durable_when_it_knows(store: Store) -> None:
    async with N8nFake() as n8n, outbox(store, at(n8n)) as box:
        it = Farmed(store, box)
        worker = it.call()
        it.says(messages.Emit(5, "booking", b'{"people":2}'))
        await eventually(lambda: messages.Reply(5) in worker.heard)
        assert len(await box.deliveries.page(event="booking")) == 1
        await eventually(lambda: n8n.bodies("booking"))
        assert n8n.bodies("booking")[0]["data"] == {"people": 2}
        assert n8n.bodies("booking")[0]["call"]["sid"] == SID
        for number, (name, data) in enumerate(
            [("call.ended", b"{}"), ("ok", b"[1]"), ("ok", b"{"), ("ok", b'{"a":"' + b"x" * 70_000)]
        ):
            it.says(messages.Emit(10 + number, name, data))
        failures = [e for e in worker.heard if isinstance(e, messages.Failure)]
        assert [(it.request, it.code) for it in failures] == [
            (number, "event") for number in (10, 11, 12, 13)
        ]
        it.ends()
        worker.exit()


async def test_an_agent_gone_wild_is_stopped(store: Store) -> None:
    async with N8nFake() as n8n, outbox(store, at(n8n)) as box:
        it = Farmed(store, box)
        worker = it.call()
        for number in range(100):
            it.says(messages.Emit(number, "x", b"{}"))

        def failed() -> list[messages.Failure]:
            return [each for each in worker.heard if isinstance(each, messages.Failure)]

        await eventually(lambda: len(failed()) == 84)
        assert "await them" in failed()[0].sentence
        it.ends()
        worker.exit()


async def test_what_became_of_a_transfer_is_told_after_the_call(store: Store) -> None:
    async with N8nFake() as n8n, outbox(store, at(n8n)) as box:
        it = Farmed(store, box)
        worker = it.call()
        it.streams()
        it.says(messages.Transfer(1, "kitchen"))
        it.calls.next(incoming(), None)
        worker.exit()
        await eventually(lambda: n8n.bodies("call.ended"))
        data = n8n.bodies("call.ended")[0]["data"]
        assert (data["outcome"], data["transferred_to"]) == ("transferred", "+15005550002")
        it.calls.next(incoming(), False)
        await eventually(lambda: n8n.bodies("call.transferred"))
        told = n8n.bodies("call.transferred")[0]
        assert told["data"] == {"to": "+15005550002", "answered": False}
        assert told["call"]["number"] == "+1"


async def test_a_call_that_nobody_could_take_is_told_of_as_rejected(store: Store) -> None:
    async with N8nFake() as n8n, outbox(store, at(n8n)) as box:
        it = Farmed(store, box)
        it.farm.ready = False
        it.calls.incoming(incoming())
        await eventually(lambda: n8n.bodies("call.ended"))
        assert n8n.bodies("call.ended")[0]["data"]["outcome"] == "rejected"
        assert not n8n.bodies("call.started")


async def test_a_call_that_died_with_its_gateway_is_told_of_once(store: Store) -> None:
    record = StoreRecords(store).of(incoming(), known=False)
    record.begun("r1", direct=False)
    await store.flush()
    assert await mark_lost(store, 1e12) == 1
    async with N8nFake() as n8n, outbox(store, at(n8n)) as box:
        book = CallBook(store)
        assert await tell_lost(store, book, box, 0.0, [SID]) == 0
        assert await tell_lost(store, book, box, 0.0, []) == 1
        await eventually(lambda: n8n.bodies("call.ended"))
        assert n8n.bodies("call.ended")[0]["data"]["outcome"] == "lost"
        await store.flush()
        assert await tell_lost(store, book, box, 0.0, []) == 0


async def test_a_call_that_comes_back_in_time_is_told_of_by_its_own_end(store: Store) -> None:
    await died(store)
    async with N8nFake() as n8n, outbox(store, at(n8n)) as box:
        it = Farmed(store, box)
        it.calls.next(incoming(), None)
        it.streams()
        it.ends()
        it.farm.workers[-1].exit()
        await eventually(lambda: n8n.bodies("call.ended"))
        assert await tell_lost(store, CallBook(store), box, 0.0, []) == 0
        (body,) = n8n.bodies("call.ended")
        assert body["data"]["outcome"] == "completed"
        assert n8n.bodies("call.started")[0]["data"] == {"resumed": True}


async def test_a_call_that_comes_back_after_it_was_told_to_be_lost_has_no_second_end(
    store: Store,
) -> None:
    await died(store)
    async with N8nFake() as n8n, outbox(store, at(n8n)) as box:
        assert await tell_lost(store, CallBook(store), box, 0.0, []) == 1
        await eventually(lambda: n8n.bodies("call.ended"))
        it = Farmed(store, box)
        it.calls.next(incoming(), None)
        it.streams()
        it.ends()
        it.farm.workers[-1].exit()
        await eventually(lambda: len(n8n.bodies("call.started")) == 1)
        assert await box.settle(5.0)
        (body,) = n8n.bodies("call.ended")
        assert body["data"]["outcome"] == "lost"
        (row,) = await box.deliveries.page(event="call.ended")
        assert (row["state"], row["tries"]) == ("delivered", 1)


async def test_a_transfer_whose_gateway_died_is_told_of_once_however_often_it_is_asked(
    store: Store,
) -> None:
    async with N8nFake() as n8n, outbox(store, at(n8n)) as box:
        for _ in range(2):
            it = Farmed(store, box)
            it.calls.next(incoming(), True)
            await eventually(lambda: n8n.bodies("call.transferred"))
            assert await box.settle(5.0)
        assert len(n8n.received) == 1


async def died(store: Store) -> None:
    """Let a call have been in progress in a gateway that died."""
    record = StoreRecords(store).of(incoming(), known=False)
    record.begun("r1", direct=False)
    await store.flush()
    assert await mark_lost(store, 1e12) == 1


async def test_nothing_is_kept_for_nobody(store: Store) -> None:
    async with outbox(store) as box:
        it = Farmed(store, box)
        worker = it.call()
        it.says(messages.Emit(5, "booking", b"{}"))
        await eventually(lambda: messages.Reply(5) in worker.heard)
        it.ends()
        worker.exit()
        assert await box.deliveries.page() == []


async def test_whose_call_it_is_may_become_known_while_it_lasts(store: Store) -> None:
    loopback = (ip_network("127.0.0.0/8"),)
    async with N8nFake() as n8n, outbox(store, known=False, allowed=loopback) as box:
        it, company = Farmed(store, box), list[int]()
        records = ReportingRecords(
            store, lambda account, number: company[0] if company else None, box
        )
        it.calls = Calls(cast("Farm", it.farm), RULES, 10, records=records)
        worker = it.call()
        company.append(7)
        it.ends()
        worker.exit()
        listeners = cast("Any", box._audience)
        listeners.endpoints.append(Endpoint(at(n8n).url, 7))
        listeners.keys[7] = ()
        listeners.known.set()
        await eventually(lambda: n8n.bodies("call.ended"))
        assert n8n.bodies("call.ended")[0]["call"]["company"] == 7
        assert await store.flush()
        rows = await store.rows(select(calls_table.c.company_id))
        assert [row["company_id"] for row in rows] == [7]


async def test_a_recording_that_was_deleted_is_told_of_as_such(store: Store) -> None:
    async with N8nFake() as n8n, outbox(store, at(n8n)) as box:
        it = Farmed(store, box)
        worker = it.call()
        call = it.calls.get(SID)
        assert call is not None
        for status in ("in-progress", "deleted", "completed"):
            call.tell(messages.RecordingChanged("RE1", status, None))
        it.ends()
        worker.exit()
        await eventually(lambda: n8n.bodies("call.ended"))
        (told,) = n8n.bodies("call.ended")[0]["data"]["recordings"]
        assert told["status"] == "deleted"
