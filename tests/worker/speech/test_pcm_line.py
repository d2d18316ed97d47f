"""Audio that a service gets in real time, whatever the line does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audio import SILENCE, level_dbfs, pcm16_to_ulaw, ulaw_to_pcm16
from tests.fakes.speech import speech, words_in
from tests.worker.speech.test_pcm_rates import tone
from worker.speech.pcm_line import AHEAD_BYTES, GAP_BYTES, KEPT_BYTES, SAID_BYTES, Downlink, Uplink

FRAME = 320
"""40 ms, as the call hands it over."""


def up(rate: int = 8000) -> Uplink:
    line = Uplink()
    line.begin(100.0, rate)
    return line


def sent(line: Uplink, now: float) -> bytes:
    """Return what goes out now, as μ-law."""
    return pcm16_to_ulaw(line.next(now))


def test_audio_goes_out_as_it_comes_and_at_once() -> None:
    line, audio = up(), speech("hello there", 20)
    out = b""
    for at in range(0, len(audio), FRAME):
        line.add(audio[at : at + FRAME])
        out += sent(line, 100 + at / 8000)
    assert out == audio
    assert line.left_out == 0


def test_silence_goes_out_where_nothing_comes() -> None:
    line = up()
    assert sent(line, 100.2) == b""
    assert line.wait_s(100.2) == pytest.approx(0.04)
    assert sent(line, 100.24) == SILENCE * GAP_BYTES
    assert line.wait_s(100.24) == pytest.approx(0.24)
    assert sent(line, 100.5) == SILENCE * 2080


def test_a_second_goes_out_for_each_second_with_gaps_and_bursts() -> None:
    line, out = up(), 0
    for step in range(1, 501):
        now = 100 + step * 0.02
        if step % 50 < 35 and step % 2 == 0:
            line.add(SILENCE * FRAME)
        if step % 50 == 49:
            line.add(SILENCE * FRAME * 7)
        out += len(sent(line, now))
        assert abs(out - step * 160) <= GAP_BYTES + FRAME
    assert abs(out - 80_000) <= GAP_BYTES


def test_words_that_come_late_are_kept_and_quiet_makes_room_for_them() -> None:
    line = up()
    assert sent(line, 101.0) == SILENCE * 8000
    words = speech("hello", 20)
    line.add(SILENCE * 4000 + words + SILENCE * 4000)
    out = sent(line, 101.0)
    assert words_in(out) == ["hello"]
    assert len(out) < len(words) + AHEAD_BYTES
    assert line.left_out > 6000


def test_loud_audio_is_never_left_out_of_what_is_sent() -> None:
    line = up()
    words = speech("one two three", 40)
    line.add(words)
    assert words_in(sent(line, 100.0)) == ["one", "two", "three"]


def test_what_waits_too_long_is_dropped_the_oldest_first() -> None:
    line = up()
    line.add(b"\x01" * KEPT_BYTES)
    line.add(b"\x02" * 100)
    assert line.left_out == 100
    out = sent(line, 100.0)
    assert len(out) == KEPT_BYTES
    assert out[-100:] == pcm16_to_ulaw(ulaw_to_pcm16(b"\x02" * 100))


def test_the_time_in_which_the_process_stood_still_is_not_made_up_for() -> None:
    line = up()
    assert len(sent(line, 160.0)) == KEPT_BYTES
    assert sent(line, 160.2) == b""
    assert len(sent(line, 160.24)) == GAP_BYTES


def test_a_new_socket_begins_anew_with_what_is_waiting() -> None:
    line = up()
    sent(line, 105.0)
    line.add(b"\x01" * 800)
    line.begin(200.0, 8000)
    assert len(sent(line, 200.0)) == 800
    assert sent(line, 200.3) == b""
    assert len(sent(line, 200.34)) == GAP_BYTES


def test_what_the_caller_was_saying_is_said_again_to_a_new_socket() -> None:
    line = up()
    for word in ("one", "two", "three"):
        line.add(speech(word, 40))
        sent(line, 100.0)
        line.saying(word != "one")
    line.add(speech("four", 40))
    line.begin(200.0, 8000)
    assert words_in(sent(line, 200.0))[-3:] == ["two", "three", "four"]
    line.saying(False)
    line.begin(300.0, 8000)
    assert line.next(300.0) == b""


def test_of_what_the_caller_was_saying_not_all_is_kept() -> None:
    line = up()
    line.saying(True)
    for _ in range(100):
        line.add(b"\x01" * 1600)
        sent(line, 100.0)
    line.begin(200.0, 8000)
    assert len(sent(line, 200.0)) == SAID_BYTES


@pytest.mark.parametrize("rate", [16_000, 24_000, 48_000])
def test_other_rates_are_resampled_both_ways(rate: int) -> None:
    line, down = up(rate), Downlink(rate)
    audio, heard = pcm16_to_ulaw(tone(1000, 8000)), b""
    for at in range(0, len(audio), FRAME):
        line.add(audio[at : at + FRAME])
        pcm = line.next(100 + at / 8000)
        assert abs(len(pcm) - len(audio[at : at + FRAME]) * 2 * rate / 8000) <= 2 * rate / 8000
        heard += down.feed(pcm)
    assert abs(len(heard) - len(audio)) <= 2
    assert level_dbfs(heard) == pytest.approx(level_dbfs(audio), abs=1)


@given(st.lists(st.integers(0, 50)), st.sampled_from([8000, 16_000, 24_000, 48_000]))
def test_samples_may_be_cut_anywhere(sizes: list[int], rate: int) -> None:
    pcm = ulaw_to_pcm16(speech("hello", 20))
    down, heard, at = Downlink(rate), b"", 0
    for size in sizes:
        heard += down.feed(pcm[at : at + size])
        at += size
    heard += down.feed(pcm[at:])
    assert heard == Downlink(rate).feed(pcm)


@given(
    st.lists(
        st.tuples(st.floats(0, 3), st.binary(max_size=3000), st.booleans()), min_size=1, max_size=40
    )
)
def test_whatever_comes_never_much_too_much_quiet_goes_out(
    steps: list[tuple[float, bytes, bool]],
) -> None:
    line, now, out = up(), 100.0, 0
    for wait_s, audio, is_quiet in steps:
        now += wait_s
        line.add(SILENCE * len(audio) if is_quiet else audio)
        pcm = line.next(now)
        out += len(pcm) // 2
        assert line.wait_s(now) >= 0
        assert len(pcm) <= 2 * (KEPT_BYTES + GAP_BYTES)
