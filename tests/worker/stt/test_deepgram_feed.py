import asyncio

from tests.virtual_time import virtual_time
from worker.errors import ProviderLostError
from worker.stt.deepgram_feed import Feed
from worker.stt.deepgram_tape import Tape


class Ear:
    """Takes audio, and notes when."""

    def __init__(self) -> None:
        self.log: list[tuple[float, str, int]] = []
        self._loop = asyncio.get_running_loop()
        self._start = self._loop.time()

    def note(self, what: str, size: int = 0) -> None:
        self.log.append((round(self._loop.time() - self._start, 3), what, size))

    async def send_media(self, message: bytes) -> None:
        self.note("audio", len(message))

    async def idle(self) -> None:
        self.note("idle")

    async def order(self) -> None:
        self.note("order")


async def run(feed: Feed, ear: Ear, seconds: float, patience: float | None = 4.0) -> None:
    """Let the feed run for a while."""
    try:
        async with asyncio.timeout(seconds):
            await feed.run(ear, lambda: patience, ear.idle, ear.order)
    except TimeoutError:
        pass


@virtual_time
async def test_what_waited_is_sent_at_no_more_than_a_quarter_above_real_time() -> None:
    feed, ear = Feed(Tape(100), 5000), Ear()
    feed.post(b"x" * 8000)
    await run(feed, ear, 2.0)
    assert len(ear.log) == 10
    assert ear.log[-2][0] == 8 * 0.08
    assert {size for _, _, size in ear.log} == {800}


@virtual_time
async def test_live_audio_is_sent_at_once() -> None:
    feed, ear = Feed(Tape(100), 5000), Ear()

    async def caller() -> None:
        for _ in range(50):
            await asyncio.sleep(0.02)
            feed.post(b"x" * 160)

    await asyncio.gather(caller(), run(feed, ear, 1.5))
    assert [at for at, _, _ in ear.log] == [round(0.1 * n, 3) for n in range(1, 11)]


@virtual_time
async def test_an_order_goes_after_all_audio_before_it() -> None:
    feed, ear = Feed(Tape(100), 5000), Ear()
    running = asyncio.ensure_future(run(feed, ear, 1.0))
    await asyncio.sleep(0)
    feed.post(b"x" * 900)
    feed.ask()
    await running
    assert [(what, size) for _, what, size in ear.log] == [
        ("audio", 800),
        ("audio", 100),
        ("order", 0),
    ]


@virtual_time
async def test_without_audio_it_is_idle_each_time_its_patience_ends() -> None:
    feed, ear = Feed(Tape(100), 5000), Ear()
    await run(feed, ear, 13.0)
    assert ear.log == [(4.0, "idle", 0), (8.0, "idle", 0), (12.0, "idle", 0)]


async def talk(feed: Feed, seconds: float) -> None:
    """Post audio for so long."""
    for _ in range(round(10 * seconds)):
        feed.post(b"x" * 800)
        await asyncio.sleep(0.1)


@virtual_time
async def test_a_server_that_says_nothing_at_all_is_lost_and_the_second_time_given_up() -> None:
    feed, ear = Feed(Tape(100), 500), Ear()
    for retry_after in (None, 3600.0):
        running = asyncio.ensure_future(run(feed, ear, 60.0))
        await talk(feed, 9.9)
        assert not running.done()
        await talk(feed, 0.3)
        lost = running.exception()
        assert isinstance(lost, ProviderLostError)
        assert lost.retry_after_s == retry_after


@virtual_time
async def test_a_server_that_has_said_something_is_asked_again_each_time() -> None:
    feed, ear = Feed(Tape(100), 500), Ear()
    for _ in range(3):
        running = asyncio.ensure_future(run(feed, ear, 60.0))
        await talk(feed, 1)
        feed.heard(is_due=False)
        await talk(feed, 10.2)
        lost = running.exception()
        assert isinstance(lost, ProviderLostError)
        assert lost.retry_after_s is None


@virtual_time
async def test_only_audio_without_a_due_answer_is_a_stall() -> None:
    feed, ear = Feed(Tape(100), 500), Ear()
    running = asyncio.ensure_future(run(feed, ear, 60.0))
    await asyncio.sleep(0)
    await talk(feed, 2)
    assert not running.done(), "nothing is due"
    feed.heard(is_due=True)
    await asyncio.sleep(30)
    assert not running.done(), "no audio was sent meanwhile"
    await talk(feed, 0.6)
    assert isinstance(running.exception(), ProviderLostError)


@virtual_time
async def test_audio_puts_off_the_end_of_its_patience_and_a_shorter_one_counts_at_once() -> None:
    feed, ear, patience = Feed(Tape(100), 5000), Ear(), [4.0]
    running = asyncio.ensure_future(
        feed.run(ear, lambda: patience[0], ear.idle, ear.order),
    )
    for _ in range(3):
        await asyncio.sleep(1.0)
        feed.post(b"x" * 800)
    await asyncio.sleep(4.5)
    patience[0] = 0.5
    feed.post(b"x" * 800)
    await asyncio.sleep(1.2)
    running.cancel()
    what = [(at, what) for at, what, _ in ear.log if at > 3.0]
    assert what == [(7.0, "idle"), (7.5, "audio"), (8.0, "idle"), (8.5, "idle")]
