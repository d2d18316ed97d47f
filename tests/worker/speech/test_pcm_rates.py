"""What a service says and hears at another rate than the telephone's is band-limited."""

import audioop
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audio import pcm16_to_ulaw, ulaw_to_pcm16
from tests.fakes.speech import speech
from worker.speech.pcm_rates import Narrowed, Widened

RATES = [16_000, 22_050, 24_000, 44_100, 48_000]
LOUD = 8000


def tone(hertz: int, rate: int) -> bytes:
    """Return half a second of a tone."""
    waves = (LOUD * math.sin(2 * math.pi * hertz * at / rate) for at in range(rate // 2))
    return b"".join(struct.pack("<h", int(sample)) for sample in waves)


def level(pcm: bytes) -> float:
    """Return how loud PCM16 is beside the tone, in dB, without its edges."""
    loud = audioop.rms(pcm[len(pcm) // 8 & ~1 : -len(pcm) // 8 & ~1], 2)
    return 20 * math.log10(max(loud, 1) * math.sqrt(2) / LOUD)


@pytest.mark.parametrize("rate", RATES)
def test_what_no_telephone_carries_is_not_heard_as_something_else(rate: int) -> None:
    for hertz in (5500, 6000, 7000):
        assert level(ulaw_to_pcm16(Narrowed(rate).feed(tone(hertz, rate)))) < -20, hertz
    for hertz in (300, 1000, 2000):
        assert level(ulaw_to_pcm16(Narrowed(rate).feed(tone(hertz, rate)))) > -1.5, hertz


@pytest.mark.parametrize("rate", RATES)
def test_a_voice_is_not_mirrored_above_the_telephones_band(rate: int) -> None:
    for hertz in (300, 1000, 2000, 3000):
        out = Widened(rate).feed(tone(hertz, 8000))
        assert level(out) == pytest.approx(0, abs=2.5), hertz
        # Whoever takes the band below 4 kHz away hears what was put above it.
        below = ulaw_to_pcm16(Narrowed(rate).feed(out))
        assert level(below) == pytest.approx(level(out), abs=4), hertz
    mirrored = tone(3000, 8000)
    both = Widened(16_000).feed(mirrored)
    at_5000 = tone(5000, 16_000)
    size = min(len(both), len(at_5000))
    alike = abs(audioop.findfactor(both[:size], at_5000[:size]))
    assert alike < 0.02, "in a straight line it is a fifth"


@given(st.lists(st.integers(0, 90)), st.sampled_from([8000, *RATES]))
def test_pieces_of_any_size_come_to_the_same(sizes: list[int], rate: int) -> None:
    pcm = ulaw_to_pcm16(speech("hello", 20))
    wide, narrow, at = Widened(rate), Narrowed(rate), 0
    up = down = b""
    for size in (*sizes, len(pcm)):
        piece = pcm[at : at + 2 * size]
        up += wide.feed(piece)
        down += narrow.feed(piece)
        at += 2 * size
    assert up == Widened(rate).feed(pcm)
    assert down == Narrowed(rate).feed(pcm)


def test_the_telephones_own_rate_passes_through() -> None:
    pcm = tone(1000, 8000)
    assert Widened(8000).feed(pcm) == pcm
    assert Narrowed(8000).feed(pcm) == pcm16_to_ulaw(pcm)
