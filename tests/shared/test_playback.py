import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audio import SAMPLE_RATE
from shared.playback import PlaybackClock

FRAME = 160
SECOND = SAMPLE_RATE


def test_nothing_is_heard_before_anything_is_sent() -> None:
    clock = PlaybackClock()
    assert (clock.sent, clock.played(5.0), clock.heard(5.0), clock.remaining_ms(5.0)) == (
        0,
        0,
        0,
        0.0,
    )


def test_what_was_sent_ahead_is_played_in_real_time() -> None:
    clock = PlaybackClock()
    clock.send(2 * SECOND, 10.0)
    assert clock.played(10.0) == 0
    assert clock.played(10.5) == SECOND // 2
    assert clock.remaining_ms(10.5) == pytest.approx(1500)
    assert clock.played(12.0) == clock.played(99.0) == 2 * SECOND


def test_audio_sent_while_some_is_left_is_played_behind_it() -> None:
    clock = PlaybackClock()
    clock.send(SECOND, 0.0)
    clock.send(SECOND, 0.5)
    assert clock.played(1.5) == 1.5 * SECOND


def test_after_an_underrun_playing_begins_anew_with_the_next_audio() -> None:
    clock = PlaybackClock()
    clock.send(SECOND, 0.0)
    clock.send(SECOND, 5.0)
    assert clock.played(5.0) == SECOND
    assert clock.played(5.25) == 1.25 * SECOND


def test_an_echo_proves_that_everything_before_its_mark_was_played() -> None:
    clock = PlaybackClock()
    clock.send(SECOND, 0.0)
    name = clock.mark()
    assert clock.echo(name, 0.8)
    assert clock.played(0.8) == SECOND


def test_an_echo_corrects_a_clock_that_ran_ahead() -> None:
    clock = PlaybackClock()
    clock.send(SECOND, 0.0)
    name = clock.mark()
    clock.send(SECOND, 0.0)
    assert clock.echo(name, 1.3)
    assert clock.remaining_ms(1.3) == pytest.approx(1000)
    assert clock.played(2.0) == pytest.approx(1.7 * SECOND, abs=1)


def test_what_was_said_to_be_heard_is_not_taken_back_by_a_late_echo() -> None:
    clock = PlaybackClock()
    clock.send(SECOND, 0.0)
    name = clock.mark()
    clock.send(SECOND, 0.0)
    before = clock.heard(1.3)
    clock.echo(name, 1.3)
    assert clock.heard(1.3) == before
    assert clock.heard(1.3 + 0.25) == before
    assert clock.heard(2.3) == 2 * SECOND


def test_an_echo_stands_for_the_marks_before_it_that_were_lost() -> None:
    clock = PlaybackClock()
    first, second = clock.mark(), clock.mark()
    assert clock.echo(second, 0.0)
    assert not clock.echo(first, 0.0)


def test_every_mark_has_a_name_of_its_own() -> None:
    clock = PlaybackClock()
    names = {clock.mark() for _ in range(50)}
    clock.clear(0.0)
    names |= {clock.mark() for _ in range(50)}
    assert len(names) == 100


@pytest.mark.parametrize("name", ["", "0.99", "nonsense", "0.1 "])
def test_an_echo_of_what_was_never_marked_proves_nothing(name: str) -> None:
    clock = PlaybackClock()
    clock.send(SECOND, 0.0)
    clock.mark()
    assert not clock.echo(name, 0.5)
    assert clock.played(0.5) == SECOND // 2


def test_an_echo_counts_once() -> None:
    clock = PlaybackClock()
    name = clock.mark()
    assert clock.echo(name, 0.0)
    assert not clock.echo(name, 0.0)


def test_the_echo_that_follows_a_clear_is_not_taken_for_heard() -> None:
    clock = PlaybackClock()
    clock.send(SECOND, 0.0)
    name = clock.mark()
    clock.clear(0.25)
    assert not clock.echo(name, 0.26)
    assert clock.heard(9.0) == SECOND // 4


def test_a_clear_drops_what_was_not_played_and_says_how_much() -> None:
    clock = PlaybackClock()
    clock.send(SECOND, 0.0)
    assert clock.clear(0.25) == 0.75 * SECOND
    assert clock.sent == SECOND // 4
    assert clock.remaining_ms(0.25) == 0.0


def test_speech_after_a_clear_is_played_from_then_on() -> None:
    clock = PlaybackClock()
    clock.send(SECOND, 0.0)
    clock.clear(0.25)
    clock.send(SECOND, 0.5)
    name = clock.mark()
    assert clock.played(1.0) == 0.75 * SECOND
    assert clock.echo(name, 1.5)


def test_the_phone_network_delays_what_is_heard() -> None:
    clock = PlaybackClock(network_ms=200)
    clock.send(SECOND, 0.0)
    assert clock.heard(0.2) == 0
    assert clock.heard(0.7) == SECOND // 2
    assert clock.heard(1.2) == SECOND


def test_what_is_under_way_in_the_phone_network_is_heard_in_spite_of_a_clear() -> None:
    clock = PlaybackClock(network_ms=200)
    clock.send(SECOND, 0.0)
    clock.clear(0.5)
    assert clock.heard(0.5) == 0.3 * SECOND
    assert clock.heard(0.7) == 0.5 * SECOND


def test_a_clear_long_after_the_last_word_takes_nothing_back() -> None:
    clock = PlaybackClock(network_ms=200)
    clock.send(SECOND, 0.0)
    clock.clear(9.0)
    assert clock.heard(9.0) == SECOND


def test_new_speech_after_silence_takes_nothing_back() -> None:
    clock = PlaybackClock(network_ms=200)
    clock.send(SECOND, 0.0)
    clock.send(FRAME, 9.0)
    assert clock.heard(9.0) == SECOND


@st.composite
def _deeds(draw: st.DrawFn) -> tuple[str, float, int]:
    deed = draw(st.sampled_from(["send", "mark", "echo", "stale", "clear", "wait"]))
    return deed, draw(st.floats(0, 3)), draw(st.integers(0, 2 * SECOND))


@given(st.lists(_deeds(), max_size=40), st.sampled_from([0.0, 80.0, 300.0]))
def test_heard_never_exceeds_played_nor_played_sent_and_neither_is_taken_back(
    deeds: list[tuple[str, float, int]], network_ms: float
) -> None:
    clock, now, names, heard, played = PlaybackClock(network_ms), 0.0, [""], 0, 0
    for deed, seconds, size in deeds:
        now += seconds
        match deed:
            case "send":
                clock.send(size, now)
            case "mark":
                names.append(clock.mark())
            case "echo":
                clock.echo(names[-1], now)
            case "stale":
                clock.echo(names[size % len(names)], now)
            case "clear":
                before = clock.sent
                assert 0 <= clock.clear(now) <= before
                assert clock.played(now) == clock.sent
        assert heard <= clock.heard(now) <= clock.played(now) <= clock.sent
        assert played <= clock.played(now)
        assert clock.remaining_ms(now) >= 0
        heard, played = clock.heard(now), clock.played(now)
    assert clock.heard(now + 1000) == clock.sent
