import io
import math
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audio import silence
from tests.fakes.speech import speech
from tests.fakes.vllm_audio import words_of_wav
from worker.llm.wav import twice_the_rate, wav_of


def tone(hertz: float, rate: int, seconds: float = 0.5) -> list[float]:
    return [20_000 * math.sin(2 * math.pi * hertz * at / rate) for at in range(int(rate * seconds))]


def packed(samples: list[float]) -> bytes:
    return struct.pack(f"<{len(samples)}h", *map(int, samples))


def unpacked(pcm: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(pcm) // 2}h", pcm)


def test_it_is_what_a_reader_of_wav_files_expects() -> None:
    with wave.open(io.BytesIO(wav_of(silence(1000)))) as reading:
        assert reading.getparams()[:4] == (1, 2, 16_000, 16_000)


def test_what_is_said_in_it_can_be_read() -> None:
    assert words_of_wav(wav_of(speech("a table for two", 20))) == ["a", "table", "for", "two"]


@pytest.mark.parametrize(("hertz", "off"), [(300, 5), (1000, 10), (2500, 200), (3400, 2000)])
def test_between_two_samples_is_what_was_between_them(hertz: float, off: float) -> None:
    samples = unpacked(twice_the_rate(packed(tone(hertz, 8000))))
    wanted = tone(hertz, 16_000)
    middle = slice(50, -50)
    pairs = zip(samples[middle], wanted[middle], strict=True)
    assert max(abs(got - want) for got, want in pairs) < off


def test_the_loudest_is_clipped_and_not_turned_over() -> None:
    loud = packed([32_767.0] * 40 + [-32_768.0] * 40)
    samples = unpacked(twice_the_rate(loud))
    assert min(samples[20:60]) > 30_000
    assert max(samples[100:140]) < -30_000


@given(st.binary(max_size=200))
def test_every_sample_is_kept(audio: bytes) -> None:
    pcm = audio[: len(audio) // 2 * 2]
    assert unpacked(twice_the_rate(pcm))[::2] == unpacked(pcm)
