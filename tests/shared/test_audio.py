import wave
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import audio
from shared.audio import FRAME_BYTES, SILENCE, SILENT_FRAME

TONE = bytes((0x80 + index % 0x40) for index in range(800))


def test_twenty_milliseconds_are_one_frame_of_160_bytes() -> None:
    assert audio.bytes_of_ms(20) == FRAME_BYTES == len(SILENT_FRAME) == 160
    assert audio.ms_of_bytes(FRAME_BYTES) == 20.0


def test_silence_is_as_long_as_asked_and_silent() -> None:
    assert audio.silence(50) == SILENCE * 400
    assert audio.level_dbfs(audio.silence(50)) == -96.0
    assert audio.level_dbfs(b"") == -96.0


def test_full_scale_is_about_zero_and_half_of_it_six_less() -> None:
    assert audio.level_dbfs(b"\x00\x80" * 100) == pytest.approx(0, abs=0.2)
    loud = audio.ulaw_to_pcm16(b"\x00" * 10)
    half = (int.from_bytes(loud[:2], "little", signed=True) // 2).to_bytes(2, "little", signed=True)
    assert audio.level_dbfs(audio.pcm16_to_ulaw(half * 100)) == pytest.approx(-6.1, abs=0.3)


@given(st.lists(st.binary(max_size=400), max_size=12))
def test_audio_of_any_size_is_cut_into_whole_frames_and_nothing_is_lost(
    pieces: list[bytes],
) -> None:
    framer = audio.Framer()
    frames = [frame for piece in pieces for frame in framer.frames(piece)]
    posted = b"".join(pieces)
    assert {len(frame) for frame in frames} <= {FRAME_BYTES}
    assert b"".join(frames) == posted[: len(posted) - len(posted) % FRAME_BYTES]


@given(st.binary(max_size=500))
def test_decoding_and_encoding_again_changes_no_sample_but_negative_zero(sound: bytes) -> None:
    again = audio.pcm16_to_ulaw(audio.ulaw_to_pcm16(sound))
    assert again == sound.replace(b"\x7f", b"\xff")


def test_a_sample_cut_in_half_is_refused_with_the_fix() -> None:
    with pytest.raises(ValueError, match="keep the odd byte back"):
        audio.pcm16_to_ulaw(b"\x00\x01\x02")


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 22050])
def test_resampling_in_pieces_gives_what_resampling_at_once_gives(rate: int) -> None:
    pcm = audio.ulaw_to_pcm16(TONE * 4)
    whole, pieces = audio.Resampler(rate), audio.Resampler(rate)
    at_once = whole.feed(pcm)
    assert b"".join(pieces.feed(pcm[at : at + 320]) for at in range(0, len(pcm), 320)) == at_once
    assert len(at_once) == pytest.approx(len(pcm) * 8000 / rate, abs=4)


def test_a_stereo_recording_holds_a_side_a_channel_and_pads_the_shorter(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    audio.write_stereo_wav(path, TONE, TONE[:400])
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 8000)
        frames = file.readframes(800)
    left = b"".join(frames[at : at + 2] for at in range(0, len(frames), 4))
    right = b"".join(frames[at + 2 : at + 4] for at in range(0, len(frames), 4))
    assert audio.pcm16_to_ulaw(left) == TONE
    assert audio.pcm16_to_ulaw(right) == TONE[:400] + SILENCE * 400


@pytest.mark.parametrize(("channels", "width"), [(1, 1), (1, 2), (2, 2), (2, 1)])
def test_common_wav_files_are_read_as_telephone_audio(
    tmp_path: Path, channels: int, width: int
) -> None:
    path = tmp_path / "in.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(16000)
        zero = b"\x80" if width == 1 else b"\x00\x00"
        file.writeframes(zero * channels * 1600)
    sound = audio.read_wav(path)
    assert len(sound) == pytest.approx(800, abs=2)
    assert audio.level_dbfs(sound) == -96.0


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no wave at all" * 10])
def test_a_file_that_is_no_wave_is_refused_with_the_fix(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.wav: .*convert it to 16-bit PCM WAV"):
        audio.read_wav(path)


def test_a_wave_of_an_unusual_width_is_refused_with_the_fix(tmp_path: Path) -> None:
    path = tmp_path / "wide.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(3)
        file.setframerate(8000)
        file.writeframes(bytes(300))
    with pytest.raises(ValueError, match="use 16-bit mono"):
        audio.read_wav(path)
