"""Timed verbs on a virtual clock."""

import asyncio
import io
import wave

import httpx2
import pytest

from phone.callbacks import Callbacks
from phone.document import DialResult, Digits, Result
from phone.events import Noticed
from phone.journal import Journal
from phone.parameters import Identity
from phone.performer import Performer, Timed
from phone.settings import Callee, CalleeOutcome, PhoneSettings
from phone.signature import Signer
from phone.verbs import Dial, Gather, Number, Pause, Play, Say
from phone.webhooks import WebhookClient
from tests.phone.clock import HandClock


def wav(seconds: int) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16000 * seconds))
    return buffer.getvalue()


def files(request: httpx2.Request) -> httpx2.Response:
    match request.url.path:
        case "/three.wav":
            return httpx2.Response(200, content=wav(3), headers={"content-type": "audio/wav"})
        case "/page":
            return httpx2.Response(200, content=b"<p>", headers={"content-type": "text/html"})
    return httpx2.Response(404)


class Stage:
    def __init__(self, settings: PhoneSettings | None = None) -> None:
        self.clock = HandClock()
        self.journal = Journal(self.clock)
        settings = settings or PhoneSettings()
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(files))
        webhooks = WebhookClient(http, Signer("t"), self.clock, 15_000)
        identity = Identity("AC1", "CA1", "+1", "+2", {})
        callbacks = Callbacks(webhooks, identity, self.journal, None, frozenset())
        self.performer = Performer(http, callbacks, self.clock, self.journal, settings)

    async def run(self, verb: Timed, keys: str = "") -> tuple[float, Result]:
        """Perform ``verb``, pressing a key a second; return how long it took."""
        task = asyncio.create_task(self.performer.perform(verb, "https://you/voice"))
        pending = list(keys)
        for _ in range(200_000):
            for _ in range(20):
                await asyncio.sleep(0)
            if task.done():
                break
            if pending and self.clock.now() == int(self.clock.now()) and self.clock.now() > 0:
                assert self.performer.keys is not None
                self.performer.keys.put_nowait(pending.pop(0))
                for _ in range(20):
                    await asyncio.sleep(0)
            self.clock.advance(0.5)
        return self.clock.now(), await task


@pytest.mark.parametrize(
    ("verb", "seconds"),
    [
        (Say("a" * 30), 2),
        (Say("a" * 15, loop=3), 3),
        (Pause(4), 4),
        (Play("", "wwW"), 2),
        (Play("/three.wav"), 3),
        (Play("/three.wav", loop=2), 6),
    ],
)
async def test_a_verb_takes_its_time(verb: Timed, seconds: float) -> None:
    took, _ = await Stage().run(verb)
    assert took == seconds


async def test_the_speed_of_verbs_can_be_set() -> None:
    took, _ = await Stage(PhoneSettings(verb_speed=10)).run(Pause(40))
    assert took == 4


@pytest.mark.parametrize(("url", "code"), [("/page", 13420), ("/gone", 11200)])
async def test_a_file_that_cannot_be_played_is_reported(url: str, code: int) -> None:
    stage = Stage()
    took, _ = await stage.run(Play(url))
    assert took == 0
    assert [n.problem.code for n in stage.journal.of(Noticed)] == [code]


@pytest.mark.parametrize(
    ("gather", "keys", "digits", "seconds"),
    [
        (Gather(timeout=5), "", "", 5),
        (Gather((Say("a" * 30),), timeout=3), "", "", 5),
        (Gather(timeout=5), "12#9", "12", 3),
        (Gather(timeout=5, num_digits=2), "1234", "12", 2),
        (Gather(timeout=5, finish_on_key=""), "1#", "1#", 7),
        (Gather((Say("a" * 1500),), timeout=3, num_digits=1), "7", "7", 1),
    ],
)
async def test_a_gather_ends_by_key_by_number_or_by_time(
    gather: Gather, keys: str, digits: str, seconds: float
) -> None:
    stage = Stage()
    took, result = await stage.run(gather, keys)
    assert result == Digits(digits)
    assert abs(took - seconds) <= 0.5
    assert stage.performer.keys is None


@pytest.mark.parametrize(
    ("callee", "status", "seconds"),
    [
        (Callee(ring_s=2, talk_s=60), "completed", 62),
        (Callee(CalleeOutcome.BUSY, ring_s=1), "busy", 1),
        (Callee(CalleeOutcome.NO_ANSWER), "no-answer", 25),
        (Callee(ring_s=40), "no-answer", 25),
        (Callee(CalleeOutcome.FAILED), "failed", 0),
    ],
)
async def test_a_dial_ends_as_its_callee_does(callee: Callee, status: str, seconds: float) -> None:
    stage = Stage(PhoneSettings(callee=lambda _: callee))
    took, result = await stage.run(Dial((Number("+15551112222"),), timeout=20))
    assert isinstance(result, DialResult)
    assert result.parameters["DialCallStatus"] == status
    assert ("DialCallDuration" in result.parameters) == (status == "completed")
    assert took == seconds


async def test_of_several_numbers_the_first_to_answer_wins() -> None:
    callees = {"+1": Callee(ring_s=9, talk_s=1), "+2": Callee(ring_s=3, talk_s=2)}
    stage = Stage(PhoneSettings(callee=callees.__getitem__))
    took, result = await stage.run(Dial((Number("+1"), Number("+2"))))
    assert took == 5
    assert isinstance(result, DialResult)


async def test_a_dial_without_a_valid_number_fails() -> None:
    _, result = await Stage().run(Dial(()))
    assert isinstance(result, DialResult)
    assert result.parameters["DialCallStatus"] == "failed"
