"""Parts of recordings, and what ranges mean."""

import audioop
import io
import wave
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.recording.clip import Clip, Format, Span, UnsatisfiableError, span
from shared.ulaw_wav import find_sound, head, interleaved

LEFT = bytes(range(256)) * 8
RIGHT = LEFT[::-1]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("clip") / "a.wav"
    # The file has grown since its head was written, and since the clip was taken.
    found.write_bytes(head(100) + bytes(interleaved(LEFT + b"later", RIGHT + b"later")))
    return found


def test_a_clip_is_a_whole_file_of_what_was_there(path: Path) -> None:
    clip = Clip(path, len(LEFT))
    whole = clip.part(0, clip.size)
    sound = find_sound(io.BytesIO(whole))
    assert sound is not None
    assert (sound.channels, sound.rate, sound.frames) == (2, 8000, len(LEFT))
    assert whole[sound.start :: 2] == LEFT
    assert whole[sound.start + 1 :: 2] == RIGHT


def test_as_pcm_every_player_can_play_it(path: Path) -> None:
    clip = Clip(path, len(LEFT), Format.PCM)
    with wave.open(io.BytesIO(clip.part(0, clip.size))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 8000)
        assert file.getnframes() == len(LEFT)
        pcm = file.readframes(len(LEFT))
    assert audioop.tomono(pcm, 2, 1, 0) == audioop.ulaw2lin(LEFT, 2)
    assert audioop.tomono(pcm, 2, 0, 1) == audioop.ulaw2lin(RIGHT, 2)


@given(st.sampled_from(Format), st.integers(0, 9000), st.integers(0, 9000))
def test_any_part_is_that_part_of_the_whole(path: Path, form: Format, one: int, two: int) -> None:
    clip = Clip(path, len(LEFT), form)
    start, end = sorted((min(one, clip.size), min(two, clip.size)))
    assert clip.part(start, end) == clip.part(0, clip.size)[start:end]


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("bytes=0-0", Span(0, 1)),
        ("bytes=10-19", Span(10, 20)),
        ("bytes=10-", Span(10, 100)),
        ("bytes=-10", Span(90, 100)),
        ("bytes=-1000", Span(0, 100)),
        ("bytes=90-1000", Span(90, 100)),
        ("Bytes = 1-2", Span(1, 3)),
        ("bytes=0-1,5-6", None),
        ("bytes=5-1", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("frames=0-1", None),
        ("", None),
    ],
)
def test_a_range_is_understood_or_ignored(header: str, wanted: Span | None) -> None:
    assert span(header, 100) == wanted


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_a_range_behind_the_end_cannot_be_had(header: str) -> None:
    with pytest.raises(UnsatisfiableError):
        span(header, 100)


RANGES = st.one_of(st.text(), st.from_regex(r"bytes ?= ?\d*-\d*", fullmatch=True))


@given(RANGES, st.integers(0, 50))
@example("bytes=²-", 10)
def test_whatever_is_asked_for_lies_within(header: str, size: int) -> None:
    try:
        found = span(header, size)
    except UnsatisfiableError:
        return
    assert found is None or 0 <= found.start < found.end <= size
