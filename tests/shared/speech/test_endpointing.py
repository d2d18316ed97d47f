from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.speech.endpointing import (
    Endpointing,
    Endpoints,
    EndReason,
    SpeechEnded,
    SpeechStarted,
)

ENDPOINTS = Endpoints(start_speech_ms=100, end_silence_ms=500, longest_ms=5000)
QUIET, SPEECH = -70.0, -25.0

Event = SpeechStarted | SpeechEnded


def heard(levels: Iterable[float], endpoints: Endpoints = ENDPOINTS) -> list[tuple[int, Event]]:
    """Return the events with the time at which each became known."""
    machine = Endpointing(endpoints)
    events = []
    for number, level in enumerate(levels, start=1):
        event = machine.frame(level)
        if isinstance(event, SpeechStarted):
            event = replace(event, level_dbfs=round(event.level_dbfs, 6))
        if event is not None:
            events.append((number * 20, event))
    return events


def frames(*stretches: tuple[int, float]) -> list[float]:
    """Return the levels of stretches of (ms, dBFS)."""
    return [level for ms, level in stretches for _ in range(ms // 20)]


def test_one_utterance_is_one_start_and_one_end() -> None:
    events = heard(frames((1000, QUIET), (800, SPEECH), (1000, QUIET)))
    assert events == [
        (1100, SpeechStarted(1000, SPEECH)),
        (2300, SpeechEnded(1800, EndReason.SILENCE)),
    ]


def test_a_click_is_not_speech() -> None:
    assert (
        heard(frames((1000, QUIET), (80, SPEECH), (1000, QUIET), (80, SPEECH), (500, QUIET))) == []
    )


def test_a_pause_between_words_does_not_end_the_utterance() -> None:
    events = heard(frames((500, QUIET), (400, SPEECH), (480, QUIET), (400, SPEECH), (1000, QUIET)))
    assert [type(event) for _, event in events] == [SpeechStarted, SpeechEnded]
    assert events[1][1] == SpeechEnded(1780, EndReason.SILENCE)


def test_a_stumbling_start_is_dated_to_its_first_sound() -> None:
    events = heard(frames((500, QUIET), (60, SPEECH), (20, QUIET), (200, SPEECH), (20, QUIET)))
    assert events[0][1] == SpeechStarted(500, SPEECH)


def test_two_utterances_are_two() -> None:
    one = frames((400, SPEECH), (800, QUIET))
    assert len(heard(frames((500, QUIET)) + one + one)) == 4


@pytest.mark.parametrize("level", [-20.0, -30.0, -40.0, -50.0])
def test_quiet_and_loud_callers_are_heard_on_a_silent_line(level: float) -> None:
    assert len(heard(frames((500, -96.0), (400, level), (800, -96.0)))) == 2


@pytest.mark.parametrize("floor", [-96.0, -60.0, -50.0, -40.0])
def test_noise_that_was_there_from_the_start_is_not_speech(floor: float) -> None:
    assert heard(frames((10_000, floor))) == []


def test_speech_over_noise_is_found() -> None:
    events = heard(frames((1000, -45.0), (600, -25.0), (1000, -45.0)))
    assert [at for at, _ in events] == [1100, 2100]


def test_noise_that_sets_in_ends_by_the_deadline_and_then_counts_as_silence() -> None:
    events = heard(frames((1000, QUIET), (60_000, -40.0)))
    assert [type(event) for _, event in events] == [SpeechStarted, SpeechEnded]
    assert events[1][0] <= 1000 + ENDPOINTS.longest_ms + ENDPOINTS.end_silence_ms


def test_speech_without_pause_ends_by_the_deadline() -> None:
    (started, _), (ended, last), *_ = heard(
        frames((200, QUIET), *[(200, -20.0), (40, -28.0)] * 100)
    )
    assert ended - started <= ENDPOINTS.longest_ms
    assert isinstance(last, SpeechEnded)
    assert last.reason is EndReason.TOO_LONG


def test_an_utterance_can_be_ended_where_it_is() -> None:
    machine = Endpointing(ENDPOINTS)
    assert machine.end() is None
    for level in frames((500, QUIET), (400, SPEECH), (100, QUIET)):
        machine.frame(level)
    assert machine.end() == SpeechEnded(900, EndReason.ASKED)
    assert machine.end() is None
    assert [machine.frame(level) for level in frames((500, QUIET))] == [None] * 25


def test_the_floor_follows_a_line_that_becomes_quiet() -> None:
    machine = Endpointing()
    for level in frames((2000, -40.0), (200, QUIET)):
        machine.frame(level)
    assert machine.floor_dbfs < -60


@given(st.lists(st.floats(-96.0, 0.0), max_size=2000))
def test_whatever_is_heard_starts_and_ends_alternate_and_no_utterance_outlasts_its_deadline(
    levels: list[float],
) -> None:
    events = heard(levels)
    for index, (at, event) in enumerate(events):
        assert isinstance(event, SpeechEnded if index % 2 else SpeechStarted)
        assert event.at_ms <= at
    for (_, start), (end, _) in zip(events[::2], events[1::2], strict=False):
        assert end - start.at_ms <= ENDPOINTS.longest_ms


@given(st.lists(st.floats(-96.0, 0.0), max_size=2000))
def test_a_second_of_silence_always_ends_the_turn(levels: list[float]) -> None:
    machine = Endpointing(ENDPOINTS)
    for level in levels + [-96.0] * 50:
        machine.frame(level)
    assert not machine.is_speaking


@pytest.mark.parametrize(
    "wrong",
    [{"start_speech_ms": 0}, {"start_speech_ms": 20_000}, {"end_silence_ms": 10}],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Endpoints(**wrong)
