import audioop
import math
import struct
import wave
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phone.latency import speech
from phone.stereo import RecordingError, track_levels
from shared.audio import silence, write_stereo_wav
from shared.ulaw_wav import head, interleaved


def _tone(ms: int, rate: int, amplitude: int) -> bytes:
    count = ms * rate // 1000
    return struct.pack(
        f"<{count}h",
        *(int(amplitude * math.sin(2 * math.pi * 400 * n / rate)) for n in range(count)),
    )


def _write(path: Path, pcm: bytes, channels: int = 2, rate: int = 8000, width: int = 2) -> Path:
    data = audioop.lin2lin(pcm, 2, width)
    if width == 1:
        data = audioop.bias(data, 1, 128)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(data)
    return path


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 48000])
@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_both_tracks_are_measured_at_every_rate_and_width(
    tmp_path: Path, rate: int, width: int
) -> None:
    left = _tone(1000, rate, 0) + _tone(1500, rate, 8000)
    right = _tone(2500, rate, 2000)
    pcm = audioop.add(audioop.tostereo(left, 2, 1, 0), audioop.tostereo(right, 2, 0, 1), 2)
    levels = track_levels(_write(tmp_path / "x.wav", pcm, rate=rate, width=width))
    assert {len(track) for track in levels} <= {124, 125}
    assert max(levels[0][:49]) == -96.0
    assert levels[0][51:] == pytest.approx([-15.3] * len(levels[0][51:]), abs=0.5)
    assert levels[1] == pytest.approx([-27.3] * len(levels[1]), abs=0.5)


def test_what_callfarm_call_writes_is_read_to_the_frame(tmp_path: Path) -> None:
    voice = audioop.lin2ulaw(_tone(500, 8000, 8000), 2)
    write_stereo_wav(tmp_path / "x.wav", silence(1000) + voice, silence(2000) + voice + silence(40))
    left, right = track_levels(tmp_path / "x.wav")
    assert len(left) == len(right) == 127
    assert [(it.from_ms, it.until_ms) for it in speech(left)] == [(1000, 1500)]
    assert [(it.from_ms, it.until_ms) for it in speech(right)] == [(2000, 2500)]


@pytest.mark.parametrize(
    ("channels", "rate", "said"),
    [
        (1, 8000, "is mono: take one with a track for each side"),
        (4, 8000, "has 4 tracks: keep the caller's and the agent's"),
        (2, 4000, "has 4000 samples a second: use 8000 to 192000"),
    ],
)
def test_a_recording_of_another_kind_is_refused_with_the_fix(
    tmp_path: Path, channels: int, rate: int, said: str
) -> None:
    path = _write(tmp_path / "x.wav", bytes(1600), channels, rate)
    with pytest.raises(RecordingError, match=said):
        track_levels(path)


def test_a_recording_without_audio_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="holds no audio"):
        track_levels(_write(tmp_path / "x.wav", b""))


def test_a_file_of_another_format_is_refused_with_the_command_that_converts_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.wav"
    for content in (b"", b"ID3\x04", b"RIFF\x00\x00\x00\x00WAVE", _alaw_header()):
        path.write_bytes(content)
        with pytest.raises(RecordingError, match="ffmpeg -i IN -c:a pcm_s16le"):
            track_levels(path)


def _alaw_header() -> bytes:
    form = struct.pack("<HHIIHH", 6, 2, 8000, 16000, 2, 8)
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"data" + bytes(4)
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def test_a_recording_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = _write(tmp_path / "x.wav", _tone(1000, 16000, 8000))
    path.write_bytes(path.read_bytes()[:-1001])
    left, right = track_levels(path)
    assert len(left) == len(right) == 48


@given(data=st.binary(max_size=200), place=st.integers(0, 60))
def test_a_damaged_file_is_read_or_refused(
    data: bytes, place: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = _write(tmp_path_factory.getbasetemp() / "damaged.wav", bytes(400))
    whole = path.read_bytes()
    path.write_bytes(whole[:place] + data + whole[place + len(data) :])
    with suppress(RecordingError):
        track_levels(path)


def test_a_gateways_own_recording_is_read(tmp_path: Path) -> None:
    path, loud = tmp_path / "own.wav", b"\x20\xa0" * 4000
    quiet = b"\xff" * 8000
    frames = interleaved(quiet + loud, loud + quiet)
    path.write_bytes(head(16000) + bytes(frames) + b"what the head does not count")
    left, right = track_levels(path)
    assert len(left) == len(right) == 100
    assert left[0] == right[99] == -96.0
    assert left[99] == right[0] > -20
