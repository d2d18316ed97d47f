"""Ears without words: what they tell of real audio, of any sizes."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audio import silence
from tests.fakes.speech import speech
from tests.virtual_time import settled, virtual_time
from worker.stt import Batched, EndOfTurn, Hearing, SpeechStarted
from worker.stt.endpointing import LocalEndpointing
from worker.stt.fallback import FallbackSTT


class Listener:
    """Notes what is heard."""

    def __init__(self) -> None:
        self.events: list[Hearing] = []

    def heard(self, event: Hearing) -> None:
        self.events.append(event)

    def failed(self, error: Exception) -> None:
        raise error


async def listened(*audio: bytes, ears: LocalEndpointing | None = None) -> list[Hearing]:
    listener = Listener()
    session = await (ears or LocalEndpointing()).connect(listener)
    for piece in audio:
        session.post(piece)
    await session.aclose()
    return listener.events


@virtual_time
async def test_a_turn_is_told_by_its_beginning_its_end_and_its_length() -> None:
    events = await listened(silence(1000), speech("onetwothree", 100), silence(700))
    assert [type(event) for event in events] == [SpeechStarted, EndOfTurn]
    assert events[0] == SpeechStarted(lasting=True)
    end = events[1]
    assert isinstance(end, EndOfTurn)
    assert (end.text, end.at_ms, end.sound_ms) == ("", 2100, 1100)


@virtual_time
async def test_a_pause_inside_a_turn_does_not_end_it() -> None:
    events = await listened(
        *(silence(500), speech("hello", 60), silence(500), speech("you", 60), silence(700))
    )
    assert [type(event) for event in events] == [SpeechStarted, EndOfTurn]


@virtual_time
async def test_a_sound_too_short_for_speech_ends_as_nothing() -> None:
    events = await listened(silence(500), speech("ah", 70), silence(700))
    assert events[1:] == [EndOfTurn("", 640)]
    assert await listened(silence(500), speech("a", 40), silence(700)) == []


@virtual_time
async def test_hold_music_is_cut_where_a_model_hears_no_more() -> None:
    events = await listened(silence(500), speech("lalala" * 60, 100))
    assert [type(event) for event in events] == [SpeechStarted, EndOfTurn, SpeechStarted]
    assert isinstance(events[1], EndOfTurn)
    assert 27_000 < events[1].sound_ms <= 28_000


@virtual_time
async def test_a_turn_that_is_to_end_ends_a_moment_later_and_once() -> None:
    listener = Listener()
    session = await LocalEndpointing().connect(listener)
    session.end_turn()
    session.post(silence(500) + speech("hello", 100))
    session.end_turn()
    assert listener.events == [SpeechStarted(lasting=True)]
    await settled()
    assert len(listener.events) == 2
    session.end_turn()
    session.post(speech("hello", 100))
    session.end_turn()
    await session.aclose()
    session.post(speech("hello", 100))
    await asyncio.sleep(1)
    assert len(listener.events) == 3, "nothing is told after the end"


@virtual_time
async def test_as_one_of_several_ears_it_tells_the_same() -> None:
    listener = Listener()
    session = await FallbackSTT([LocalEndpointing()]).connect(listener)
    audio = silence(500) + speech("hello", 100) + silence(700)
    session.post(audio)
    assert listener.events == await listened(audio)
    await session.aclose()


@virtual_time
async def test_it_wants_audio_in_batches_and_needs_no_stand_in() -> None:
    ears = LocalEndpointing()
    ears.prepare()
    session = await ears.connect(Listener())
    assert isinstance(session, Batched)
    assert session.batch_ms == 40
    assert ears.stand_in() is ears


@pytest.mark.parametrize(
    "wrong",
    [
        {"end_silence_ms": 0},
        {"start_speech_ms": 0},
        {"shortest_ms": -1},
        {"shortest_ms": 30_000},
        {"longest_ms": 50},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="_ms"):
        LocalEndpointing(**wrong)


@given(st.lists(st.integers(1, 4000), max_size=20))
def test_what_is_heard_does_not_depend_on_how_the_audio_comes(sizes: list[int]) -> None:
    audio = silence(500) + speech("hello you", 60) + silence(700) + speech("yes", 80) + silence(700)
    pieces, rest = [], audio
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]

    @virtual_time
    async def case() -> None:
        assert await listened(*pieces, rest) == await listened(audio)

    case()
