"""A recording's file after a crash at any byte, read by others than ourselves."""

import io
import os
import struct
import tempfile
import wave
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.recording import reel as files
from gateway.recording.clip import Clip, Format
from gateway.recording.reel import Reel

SID = "CA" + "7" * 32
HEAD = 58


def strict(data: bytes) -> bytes:
    """Return the audio of a RIFF file in which every length is what is there."""
    name, size, form = struct.unpack_from("<4sI4s", data)
    assert (name, size, form) == (b"RIFF", len(data) - 8, b"WAVE")
    chunks, place = {}, 12
    while place < len(data):
        name, size = struct.unpack_from("<4sI", data, place)
        chunks[name] = data[place + 8 : place + 8 + size]
        assert len(chunks[name]) == size
        place += 8 + size + size % 2
    assert struct.unpack("<HHIIHHH", chunks[b"fmt "]) == (7, 2, 8000, 16_000, 2, 8, 0)
    (frames,) = struct.unpack("<I", chunks[b"fact"])
    assert frames * 2 == len(chunks[b"data"])
    return chunks[b"data"]


@given(
    pieces=st.lists(st.integers(1, 400), min_size=1, max_size=5),
    cut=st.floats(0, 1),
    told=st.integers(0, 5),
)
def test_whatever_a_crash_leaves_becomes_a_file_that_anybody_can_play(
    pieces: list[int], cut: float, told: int
) -> None:
    """``told``: so many pieces are counted in the head; ``cut``: how much of all is on the disk."""
    with tempfile.TemporaryDirectory() as folder:
        reel = Reel.begin(Path(folder), SID)
        heads, written = list[bytes](), b""
        path = Path(folder) / reel.path
        heads.append(path.read_bytes())
        for number, size in enumerate(pieces):
            left, right = bytes([number + 1]) * size, bytes([number + 101]) * size
            reel.write(left, right)
            written += bytes(value for pair in zip(left, right, strict=True) for value in pair)
            heads.append(path.read_bytes()[:HEAD])
        reel.abandon()
        with path.open("r+b") as file:
            file.write(heads[min(told, len(pieces))])
        size = round(cut * path.stat().st_size)
        os.truncate(path, size)
        (found,) = files.mend(Path(folder))
        expected = written[: max(0, size - HEAD) // 2 * 2]
        assert found.frames * 2 == len(expected)
        if not expected:
            assert not path.exists()
            return
        assert strict(path.read_bytes()) == expected
        clip = Clip(path, found.frames, Format.PCM)
        with wave.open(io.BytesIO(clip.part(0, clip.size))) as player:
            assert (player.getnchannels(), player.getframerate()) == (2, 8000)
            assert player.getnframes() == found.frames == len(player.readframes(10**6)) // 4


@given(pieces=st.lists(st.integers(1, 400), min_size=1, max_size=5), seen=st.integers(0, 10**6))
def test_a_file_that_grows_can_be_played_as_it_is_whenever_it_is_looked_at(
    pieces: list[int], seen: int
) -> None:
    """A player that trusts the head alone reads what it promises: audio is written before it."""
    with tempfile.TemporaryDirectory() as folder:
        reel = Reel.begin(Path(folder), SID)
        path = Path(folder) / reel.path
        for number, size in enumerate(pieces):
            reel.write(bytes([number + 1]) * size, bytes([number + 1]) * size)
            frames = sum(pieces[: number + 1])
            # Half of the next piece may be there already, and is not counted yet.
            with path.open("ab") as file:
                file.write(b"x" * (seen % 100))
            data = path.read_bytes()
            assert strict(data[: HEAD + frames * 2])
        reel.finish()


@pytest.mark.parametrize("marker", [b"", b"\0" * 60, b"\xff\xfe", b"a" * 5000, b"recordings/\0"])
def test_a_marker_that_a_crash_has_torn_keeps_no_other_file_from_being_whole(
    tmp_path: Path, marker: bytes
) -> None:
    reel = Reel.begin(tmp_path, SID)
    reel.write(b"l" * 80, b"r" * 80)
    reel.abandon()
    torn = tmp_path / "recordings/open/CA0"
    torn.write_bytes(marker)
    found = {it.sid: it.frames for it in files.mend(tmp_path)}
    assert found == {SID: 80, "CA0": 0}


def test_a_file_that_cannot_be_reached_keeps_no_other_from_being_whole(tmp_path: Path) -> None:
    paths = {}
    for sid in ("CA0", SID):
        reel = Reel.begin(tmp_path, sid)
        reel.write(b"l" * 80, b"r" * 80)
        reel.abandon()
        paths[sid] = tmp_path / reel.path
    paths["CA0"].unlink()
    paths["CA0"].symlink_to(paths["CA0"])
    assert {it.sid: it.frames for it in files.mend(tmp_path)} == {SID: 80, "CA0": 0}


def test_a_disk_that_fails_for_one_file_keeps_no_other_from_being_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sid in ("CA0", SID):
        reel = Reel.begin(tmp_path, sid)
        reel.write(b"l" * 80, b"r" * 80)
        reel.abandon()
    truncate, broken = os.ftruncate, iter([True])

    def fails_once(fd: int, size: int) -> None:
        if next(broken, False):
            raise OSError(5, "Input/output error")
        truncate(fd, size)

    monkeypatch.setattr(os, "ftruncate", fails_once)
    assert {it.sid: it.frames for it in files.mend(tmp_path)} == {SID: 80}
    assert (tmp_path / "recordings/open/CA0").exists()  # the next start tries again
