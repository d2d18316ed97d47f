import audioop
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audio import ulaw_to_pcm16
from shared.speech.narrowband import Narrowband

RATE = 22050


def sine(hertz: float, peak: int = 10_000, samples: int = RATE) -> bytes:
    return b"".join(
        int(peak * math.sin(2 * math.pi * hertz * index / RATE)).to_bytes(2, "little", signed=True)
        for index in range(samples)
    )


def level_change_db(hertz: float) -> float:
    out = ulaw_to_pcm16(Narrowband(RATE).feed(sine(hertz)))
    return 20 * math.log10(audioop.rms(out, 2) / audioop.rms(sine(hertz), 2))


@pytest.mark.parametrize("hertz", [200, 1000, 2000])
def test_speech_frequencies_pass_unchanged(hertz: int) -> None:
    assert abs(level_change_db(hertz)) < 1


@pytest.mark.parametrize("hertz", [5000, 7000, 9000])
def test_what_would_alias_is_gone(hertz: int) -> None:
    assert level_change_db(hertz) < -40


def test_a_second_stays_a_second() -> None:
    assert len(Narrowband(RATE).feed(sine(440))) == pytest.approx(8000, abs=1)


def test_gain_is_linear_and_clips_instead_of_wrapping() -> None:
    loud = ulaw_to_pcm16(Narrowband(RATE, gain=100.0).feed(sine(440)))
    assert audioop.rms(loud, 2) > 30_000
    assert audioop.cross(loud, 2) == pytest.approx(880, abs=5)
    half = ulaw_to_pcm16(Narrowband(RATE, gain=0.5).feed(sine(440)))
    assert audioop.rms(half, 2) == pytest.approx(audioop.rms(sine(440), 2) / 2, rel=0.02)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=20))
def test_chunk_borders_leave_no_trace(sizes: list[int]) -> None:
    signal = sine(700, samples=sum(sizes))
    band, chunks, at = Narrowband(RATE), [], 0
    for size in sizes:
        chunks.append(band.feed(signal[2 * at : 2 * (at + size)]))
        at += size
    assert b"".join(chunks) == Narrowband(RATE).feed(signal)


def test_nothing_gives_nothing() -> None:
    assert Narrowband(RATE).feed(b"") == b""
