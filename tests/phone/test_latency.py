import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phone.ear import Span
from phone.latency import Figures, Kind, Utterance, measure, speech

QUIET, VOICE = -96.0, -25.0


def track(*spans: tuple[int, int], ms: int = 10_000, noise: float = QUIET) -> list[float]:
    """Return a track's levels: speech at these times, which are multiples of 20 ms."""
    levels = [noise] * (ms // 20)
    for from_ms, until_ms in spans:
        levels[from_ms // 20 : until_ms // 20] = [VOICE] * ((until_ms - from_ms) // 20)
    return levels


def test_an_answer_takes_from_the_callers_end_to_the_agents_beginning() -> None:
    found = measure(track((2000, 3000)), track((0, 1000), (3740, 5000)))
    assert found.utterances == (Utterance(2000, 3000, Kind.ANSWERED, 740),)
    assert found.greeting_ms == 0
    assert found.seconds == 10
    assert found.replies == Figures(1, 740, 740, 740)


def test_pauses_between_words_end_no_utterance() -> None:
    found = measure(track((2000, 2300), (2700, 3000)), track((3800, 5000)))
    assert found.utterances == (Utterance(2000, 3000, Kind.ANSWERED, 800),)


def test_a_caller_who_speaks_again_before_the_agent_has_no_answer_yet() -> None:
    found = measure(track((1000, 2000), (3000, 4000), (8000, 9000)), track((4500, 5000)))
    assert [(it.kind, it.took_ms) for it in found.utterances] == [
        (Kind.WENT_ON, None),
        (Kind.ANSWERED, 500),
        (Kind.UNANSWERED, None),
    ]


def test_an_interruption_is_told_apart_with_how_long_the_agent_spoke_on() -> None:
    found = measure(track((2000, 2800)), track((1000, 2160), (3400, 5000)))
    assert found.utterances == (Utterance(2000, 2800, Kind.INTERRUPTED, 600, 160),)
    assert found.replies is None
    assert found.after_interruptions == Figures(1, 600, 600, 600)
    assert found.yields == Figures(1, 160, 160, 160)


def test_an_agent_that_answers_soon_after_it_fell_silent_did_not_speak_on() -> None:
    found = measure(track((2000, 2400)), track((1000, 2200), (2500, 5000)))
    assert found.utterances == (Utterance(2000, 2400, Kind.INTERRUPTED, 100, 200),)


def test_an_agent_that_begins_too_early_has_a_negative_time_that_is_no_reply() -> None:
    found = measure(track((2000, 3000)), track((2900, 5000)))
    assert found.utterances == (Utterance(2000, 3000, Kind.OVERLAPPED, -100),)
    assert found.replies is None


def test_median_and_percentile_are_of_the_replies_alone() -> None:
    caller = [(at, at + 1000) for at in range(1000, 90_000, 4000)]
    agent = [(until + 500 + 20 * n, until + 2000) for n, (_, until) in enumerate(caller)]
    found = measure(track(*caller, ms=100_000), track(*agent, ms=100_000))
    assert len(caller) == 23
    assert found.replies == Figures(23, 720, 920, 940)


@pytest.mark.parametrize("noise", [-70.0, -50.0, -38.0])
def test_a_noisy_line_changes_nothing(noise: float) -> None:
    chance = random.Random(1)
    times = ((2000, 3000), (5000, 6000))
    levels = [level + chance.gauss(0, 1.5) for level in track(*times, noise=noise)]
    assert speech(levels) == [Span(2000, 3000), Span(5000, 6000)]


@pytest.mark.parametrize("backwards", [False, True])
def test_a_noise_that_begins_or_ends_in_the_middle_is_nobody_who_speaks(backwards: bool) -> None:
    levels = track((5000, 6000), (24_000, 25_000), ms=30_000)
    levels[751:] = [max(level, -42.0) for level in levels[751:]]
    if backwards:
        assert speech(levels[::-1]) == [Span(5000, 6000), Span(24_000, 25_000)]
    else:
        assert speech(levels) == [Span(5000, 6000), Span(24_000, 25_000)]


def test_a_long_speech_with_the_pauses_of_speech_is_one_utterance() -> None:
    words = [(at, at + 680) for at in range(2000, 40_000, 800)]
    assert speech(track(*words, ms=60_000, noise=-45.0)) == [Span(2000, 40_280)]


def test_a_click_is_no_utterance_and_does_not_lengthen_one() -> None:
    levels = track((1000, 1040), (2000, 3000), (3400, 3420))
    assert speech(levels)[0].from_ms == 2000


def test_who_speaks_from_the_first_frame_to_the_last_is_heard() -> None:
    assert speech(track((0, 400), (1200, 2000), ms=2000)) == [Span(0, 400), Span(1200, 2000)]


def test_nothing_is_said_on_tracks_without_speech() -> None:
    found = measure(track(noise=-50.0), [])
    assert (found.utterances, found.greeting_ms, found.replies) == ((), None, None)


@given(st.lists(st.floats(-96, 0), max_size=400), st.lists(st.floats(-96, 0), max_size=400))
def test_whatever_is_recorded_utterances_come_in_order_and_within_it(
    caller: list[float], agent: list[float]
) -> None:
    found = measure(caller, agent)
    for one, next_one in pairwise(found.utterances):
        assert one.until_ms < next_one.from_ms
    for it in found.utterances:
        assert 0 <= it.from_ms < it.until_ms <= 20 * len(caller)
        assert (it.took_ms is None) == (it.kind in {Kind.WENT_ON, Kind.UNANSWERED}) or (
            it.kind is Kind.INTERRUPTED
        )
