import asyncio

import pytest

from tests.worker.playbook import Ears as Hearing
from worker import stt
from worker.ears import Ears
from worker.errors import ProviderError
from worker.kept_audio import MOST_BYTES as EARLY_BYTES
from worker.stt import EndOfTurn, SpeechStarted, SpeechStopped


class Listener:
    """Notes what is heard."""

    def __init__(self) -> None:
        self.heard_events: list[stt.Hearing] = []
        self.failures: list[Exception] = []
        self.now = 0.0
        self.ears = Ears(self, lambda: self.now)

    def heard(self, event: stt.Hearing) -> None:
        self.heard_events.append(event)

    def failed(self, error: Exception) -> None:
        self.failures.append(error)


async def test_audio_goes_to_who_hears_and_what_is_heard_comes_back() -> None:
    listener, hearing = Listener(), Hearing()
    listener.ears.post(b"nobody hears this")
    await listener.ears.connect(hearing)
    listener.ears.post(b"\x01" * 160)
    listener.ears.end_turn()
    hearing.listener.heard(EndOfTurn("hi"))
    assert (bytes(hearing.heard), hearing.asked) == (b"\x01" * 160, 1)
    assert listener.heard_events == [EndOfTurn("hi")]


async def test_other_ears_take_over_and_the_ones_before_are_closed_and_not_believed() -> None:
    listener, before, after = Listener(), Hearing(), Hearing()
    await listener.ears.connect(before)
    await listener.ears.connect(after)
    listener.ears.post(b"\x01" * 160)
    before.listener.heard(EndOfTurn("of the same audio"))
    before.listener.failed(ProviderError("deepgram", "too late"))
    assert (before.closed, bytes(before.heard), len(after.heard)) == (1, b"", 160)
    assert (listener.heard_events, listener.failures) == ([], [])


async def test_a_sound_that_the_ones_before_have_begun_ends_with_them() -> None:
    listener, before, after = Listener(), Hearing(), Hearing()
    await listener.ears.connect(before)
    before.listener.heard(SpeechStarted(lasting=True))
    await listener.ears.connect(after)
    assert listener.heard_events == [SpeechStarted(lasting=True), SpeechStopped()]
    after.listener.heard(SpeechStarted(lasting=True))
    after.listener.heard(EndOfTurn("hi"))
    await listener.ears.connect(Hearing())
    assert listener.heard_events[-1] == EndOfTurn("hi")


async def test_ears_that_cannot_be_had_leave_the_ones_before() -> None:
    listener, before = Listener(), Hearing()
    await listener.ears.connect(before)
    with pytest.raises(ProviderError):
        await listener.ears.connect(Hearing(error=ProviderError("openai", "401")))
    before.listener.heard(EndOfTurn("hi"))
    assert (before.closed, listener.heard_events) == (0, [EndOfTurn("hi")])


async def test_while_others_connect_the_ones_before_go_on_hearing() -> None:
    listener, before = Listener(), Hearing()
    await listener.ears.connect(before)
    connecting = asyncio.ensure_future(listener.ears.connect(Hearing(delay=0.01)))
    await asyncio.sleep(0)
    listener.ears.post(b"\x01" * 160)
    assert len(before.heard) == 160
    await connecting


async def test_that_ears_are_lost_is_told() -> None:
    listener, hearing = Listener(), Hearing()
    await listener.ears.connect(hearing)
    error = ProviderError("deepgram", "gone")
    hearing.listener.failed(error)
    assert listener.failures == [error]


async def test_places_in_the_audio_count_from_when_the_present_ears_began_to_hear() -> None:
    listener = Listener()
    await listener.ears.connect(Hearing())
    for listener.now in (1.98, 2.98):
        listener.ears.post(b"\x01" * 8000)
    assert listener.ears.time_of(1500.0) == pytest.approx(2.5)
    await listener.ears.connect(Hearing())
    listener.now = 9.0
    listener.ears.post(b"\x01" * 160)
    assert listener.ears.time_of(0.0) == 9.0
    assert listener.ears.time_of(None) is None


async def test_closing_twice_closes_once_and_nobody_hears_after_it() -> None:
    listener, hearing = Listener(), Hearing()
    await listener.ears.connect(hearing)
    await listener.ears.aclose()
    await listener.ears.aclose()
    listener.ears.post(b"\x01")
    listener.ears.end_turn()
    assert (hearing.closed, hearing.asked, len(hearing.heard)) == (1, 0, 0)


async def test_what_is_said_while_the_first_ears_connect_is_heard_all_the_same() -> None:
    listener, hearing = Listener(), Hearing(delay=0.01)
    connecting = asyncio.ensure_future(listener.ears.connect(hearing))
    await asyncio.sleep(0)
    for sample in (b"\x01", b"\x02"):
        listener.ears.post(sample * 160)
    await connecting
    listener.ears.post(b"\x03" * 160)
    assert bytes(hearing.heard) == b"\x01" * 160 + b"\x02" * 160 + b"\x03" * 160


async def test_of_a_long_wait_for_ears_the_last_five_seconds_are_kept() -> None:
    listener, hearing = Listener(), Hearing(delay=0.01)
    connecting = asyncio.ensure_future(listener.ears.connect(hearing))
    await asyncio.sleep(0)
    for number in range(400):
        listener.ears.post(bytes([number % 256]) * 160)
    await connecting
    assert len(hearing.heard) == EARLY_BYTES
    assert hearing.heard[-1] == 399 % 256
