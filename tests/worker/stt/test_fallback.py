import asyncio

import pytest

from shared.audio import bytes_of_ms
from shared.speech.espeak import EspeakVoice
from tests.shared.speech.line import over_the_line
from tests.virtual_time import settled, virtual_time
from tests.worker.frail import LOST, NO_KEY, FrailSTT
from worker import succession
from worker.errors import ProviderLostError, ProviderRefusedError
from worker.providers import PocketSphinx
from worker.stand_ins import EnergySTT
from worker.stt import (
    STT,
    EagerEnd,
    EndOfTurn,
    Hearing,
    Partial,
    SpeechStarted,
    SpeechStopped,
    STTSession,
    TurnResumed,
)
from worker.stt.fallback import KEPT_MS, FallbackSTT, joined


class Ear:
    """Keeps what a listener hears."""

    def __init__(self) -> None:
        self.events: list[Hearing] = []
        self.turn_ended = asyncio.Event()
        self.failures: list[Exception] = []
        self.troubles: list[tuple[str, str, str | None]] = []

    def heard(self, event: Hearing) -> None:
        self.events.append(event)
        if isinstance(event, EndOfTurn):
            self.turn_ended.set()

    def failed(self, error: Exception) -> None:
        self.failures.append(error)

    def trouble(self, provider: str, sentence: str, fallback: str | None) -> None:
        self.troubles.append((provider, sentence, fallback))


async def listening(*providers: STT) -> tuple[STTSession, Ear]:
    ear = Ear()
    return await FallbackSTT(providers, ear.trouble).connect(ear), ear


def audio(begin_ms: float, end_ms: float) -> bytes:
    """Return audio in which every ten ms are unlike all others of 2.5 s."""
    return bytes(at // 80 % 251 for at in range(bytes_of_ms(begin_ms), bytes_of_ms(end_ms)))


def post(session: STTSession, begin_ms: int, end_ms: int) -> None:
    for at in range(begin_ms, end_ms, 20):
        session.post(audio(at, at + 20))


@virtual_time
async def test_the_first_hears_and_the_next_is_not_connected() -> None:
    first, second = FrailSTT(), FrailSTT()
    session, ear = await listening(first, second)
    post(session, 0, 2000)
    events: list[Hearing] = [
        SpeechStarted(lasting=True),
        Partial("two"),
        EagerEnd("two of us"),
        TurnResumed(),
        SpeechStopped(1800.0),
        EndOfTurn("two of us please", 1800.0),
    ]
    first.sessions[0].hears(*events)
    assert ear.events == events
    assert first.sessions[0].audio == audio(0, 2000)
    assert second.opened == 0
    await session.aclose()
    assert (first.closed, ear.troubles) == (1, [])


@virtual_time
async def test_the_next_one_hears_the_turn_from_its_beginning() -> None:
    first, second = FrailSTT(), FrailSTT()
    session, ear = await listening(first, second)
    post(session, 0, 1500)
    first.sessions[0].hears(Partial("two"))
    first.sessions[0].lose()
    post(session, 1500, 1800)  # while there is nobody to hear it
    await settled()
    post(session, 1800, 2400)
    assert second.sessions[0].audio == audio(0, 2400)
    second.sessions[0].hears(Partial("two of"), EndOfTurn("two of us", 2100.0))
    assert ear.events == [Partial("two"), Partial("two of"), EndOfTurn("two of us", 2100.0)]
    assert ear.troubles == [("FrailSTT", LOST.sentence, "FrailSTT")]
    await session.aclose()


@virtual_time
async def test_what_a_turn_has_already_is_not_heard_again() -> None:
    first, second = FrailSTT(), FrailSTT()
    session, ear = await listening(first, second)
    post(session, 0, 2000)
    first.sessions[0].hears(EndOfTurn("yes", 1500.0))
    post(session, 2000, 2600)
    first.sessions[0].lose()
    await settled()
    assert second.sessions[0].audio == audio(1500, 2600)
    second.sessions[0].hears(EndOfTurn("no", 600.0))
    assert ear.events[-1] == EndOfTurn("no", 2100.0)
    await session.aclose()


@virtual_time
async def test_a_turn_whose_end_is_not_placed_ends_where_it_was_told() -> None:
    first, second = FrailSTT(), FrailSTT()
    session, ear = await listening(first, second)
    post(session, 0, 2000)
    first.sessions[0].hears(EndOfTurn("yes"))
    post(session, 2000, 2200)
    first.sessions[0].lose()
    await settled()
    assert second.sessions[0].audio == audio(2000, 2200)
    second.sessions[0].hears(SpeechStopped(100.0), EndOfTurn("no"))
    assert ear.events[1:] == [SpeechStopped(2100.0), EndOfTurn("no")]
    await session.aclose()


@virtual_time
async def test_of_a_long_gap_the_last_seconds_are_kept() -> None:
    first, second = FrailSTT(), FrailSTT(opens_after_s=2)
    session, ear = await listening(first, second)
    first.sessions[0].lose()
    for at in range(0, 8000, 20):
        session.post(audio(at, at + 20))
    await asyncio.sleep(2.5)
    assert second.sessions[0].audio == audio(8000 - KEPT_MS, 8000)
    second.sessions[0].hears(EndOfTurn("yes", 1000.0))
    assert ear.events == [EndOfTurn("yes", 4000.0)]
    await session.aclose()


@virtual_time
async def test_words_of_a_turn_too_long_to_be_heard_again_are_kept() -> None:
    first, second = FrailSTT(), FrailSTT()
    session, ear = await listening(first, second)
    post(session, 0, 1000)
    first.sessions[0].hears(SpeechStarted(lasting=True), Partial("I would like"))
    post(session, 1000, 9000)
    first.sessions[0].hears(Partial("I would like to book a table for"))
    first.sessions[0].lose()
    await settled()
    hears = second.sessions[0].hears
    hears(Partial("ook a table"), EndOfTurn("ook a table for two of us", 4000.0))
    assert ear.events[3:] == [
        Partial("I would like to book a table for"),
        EndOfTurn("I would like to book a table for two of us", 8000.0),
    ]
    hears(EndOfTurn("goodbye"))
    assert ear.events[-1] == EndOfTurn("goodbye")
    await session.aclose()


@virtual_time
async def test_words_of_a_turn_that_is_heard_again_are_not_kept_twice() -> None:
    first, second = FrailSTT(), FrailSTT()
    session, ear = await listening(first, second)
    post(session, 0, 30_000)  # a long silence before
    first.sessions[0].hears(SpeechStarted(), Partial("two"))
    post(session, 30_000, 32_000)
    first.sessions[0].lose()
    await settled()
    second.sessions[0].hears(EndOfTurn("too of us"))
    assert ear.events[-1] == EndOfTurn("too of us")
    await session.aclose()


@virtual_time
async def test_a_sound_whose_end_nobody_will_tell_ends_with_who_heard_it() -> None:
    first, second = FrailSTT(), FrailSTT()
    session, ear = await listening(first, second)
    first.sessions[0].hears(SpeechStarted(lasting=True))
    first.sessions[0].lose()
    assert ear.events == [SpeechStarted(lasting=True), SpeechStopped()]
    await settled()
    second.sessions[0].hears(SpeechStarted(lasting=True), SpeechStopped())
    second.sessions[0].lose()
    assert len(ear.events) == 4
    await session.aclose()


@virtual_time
async def test_with_words_a_sound_goes_on_while_the_next_one_connects() -> None:
    first, second = FrailSTT(), FrailSTT()
    session, ear = await listening(first, second)
    first.sessions[0].hears(SpeechStarted(lasting=True), Partial("two"))
    first.sessions[0].lose()
    assert ear.events == [SpeechStarted(lasting=True), Partial("two")]
    await session.aclose()


@virtual_time
async def test_what_a_lost_one_still_says_is_not_heard() -> None:
    first, second = FrailSTT(), FrailSTT()
    session, ear = await listening(first, second)
    first.sessions[0].lose()
    first.sessions[0].hears(EndOfTurn("late"))
    await settled()
    first.sessions[0].hears(EndOfTurn("later"))
    first.sessions[0].lose()
    assert ear.events == []
    assert len(ear.troubles) == 1
    await session.aclose()


@virtual_time
async def test_a_turn_that_was_to_be_ended_is_not_heard_again_by_the_next() -> None:
    first, second = FrailSTT(), FrailSTT()
    session, ear = await listening(first, second)
    post(session, 0, 2000)
    first.sessions[0].hears(Partial("two of us"))
    session.end_turn()
    assert first.sessions[0].asked == 1
    first.sessions[0].lose()
    session.end_turn()
    post(session, 2000, 2400)
    await settled()
    assert second.sessions[0].audio == audio(2000, 2400)
    second.sessions[0].hears(EndOfTurn("please"))
    assert ear.events[-1] == EndOfTurn("please")
    await session.aclose()


@virtual_time
async def test_when_all_are_lost_it_has_failed_and_says_so_once() -> None:
    first, second = FrailSTT(), FrailSTT()
    session, ear = await listening(first, second)
    first.sessions[0].lose()
    await settled()
    second.sessions[0].lose()
    await settled()
    session.post(audio(0, 20))
    session.end_turn()
    assert ear.failures == [LOST]
    assert [told[2] for told in ear.troubles] == ["FrailSTT", None]
    await session.aclose()
    assert (first.closed, second.closed) == (1, 1)


@virtual_time
async def test_at_the_start_of_a_call_the_first_that_opens_is_taken() -> None:
    good = FrailSTT()
    session, ear = await listening(
        FrailSTT(refuses=NO_KEY), FrailSTT(opens_after_s=60), FrailSTT(dies_at_once=True), good
    )
    session.post(b"audio")
    assert good.sessions[0].audio == b"audio"
    assert len(ear.troubles) == 3
    await session.aclose()
    with pytest.raises(ProviderLostError, match="dropped"):
        await listening(FrailSTT(refuses=LOST))


@virtual_time
async def test_closing_is_bounded_whatever_is_going_on() -> None:
    loop = asyncio.get_running_loop()
    first = FrailSTT(closes_after_s=60)
    session, ear = await listening(first, FrailSTT(opens_after_s=2.5))
    first.sessions[0].lose()
    await asyncio.sleep(0.1)
    began = loop.time()
    await session.aclose()
    await session.aclose()
    session.post(audio(0, 20))
    assert loop.time() - began <= succession.CLOSE_SECONDS
    await settled()
    assert len(asyncio.all_tasks()) == 1
    assert ear.failures == []


def test_keyless_ones_are_left_out_when_it_is_prepared() -> None:
    FallbackSTT([FrailSTT(refuses=NO_KEY), FrailSTT()]).prepare()
    with pytest.raises(ProviderRefusedError, match="set ACME_API_KEY"):
        FallbackSTT([FrailSTT(refuses=NO_KEY)]).prepare()
    assert FallbackSTT([FrailSTT()]).stand_in() == EnergySTT()
    with pytest.raises(ValueError, match="empty"):
        FallbackSTT([])


@pytest.mark.parametrize(
    ("before", "text", "whole"),
    [
        ("", "two of us", "two of us"),
        ("two of us", "", "two of us"),
        ("two of us", "of us please", "two of us please"),
        ("two of us", "please", "two of us please"),
        ("Two, of us.", "of us please", "Two, of us. please"),
        ("I would like to book", "ike to book a table", "I would like to book a table"),
        ("no no", "no no thanks", "no no thanks"),
        ("I would like to book a table", "would like", "I would like to book a table"),
        ("I would like to book a table", "ould like to", "I would like to book a table"),
        ("a table", "", "a table"),
        ("", "", ""),
    ],
)
def test_words_known_before_and_after_are_put_together_once(
    before: str, text: str, whole: str
) -> None:
    assert joined(before, text) == whole


async def test_pocketsphinx_goes_on_in_the_middle_of_a_sentence() -> None:
    grammar = "#JSGF V1.0;\ngrammar shop;\npublic <order> = i would like to buy three apples;\n"
    frail = FrailSTT()
    session, ear = await listening(frail, PocketSphinx(grammar))
    speech = over_the_line(
        EspeakVoice("en-us+klatt4", rate=160).speak("i would like to buy three apples"), -3, -65
    )
    half = len(speech) // 2
    session.post(speech[:half])
    frail.sessions[0].hears(SpeechStarted(), Partial("I would"))
    frail.sessions[0].lose()
    session.post(speech[half:])
    async with asyncio.timeout(10):
        await ear.turn_ended.wait()
    last = ear.events[-1]
    assert isinstance(last, EndOfTurn)
    assert last.text == "i would like to buy three apples"
    await session.aclose()
