"""Recordings on a real disk: written beside the call, whole after a crash, no call's trouble."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.calls.record import KeptRecording, Record
from gateway.media.listener import MediaSocket
from gateway.recording import reel as files
from gateway.recording.recorder import Recorder, RecordingError
from gateway.recording.reel import Reel
from gateway.recording.studio import Studio, StudioLimits
from gateway.store.change import Upsert
from shared.audio import SILENCE
from shared.ulaw_wav import find_sound
from tests.harness import ROOT, eventually

SID = "CA" + "7" * 32


class Book:
    """Records in a list; ``away``: they do not reach the database."""

    def __init__(self) -> None:
        self.rows: list[Upsert] = []
        self.away = False

    def write(self, *changes: Upsert) -> None:
        self.rows += changes

    async def flush(self, seconds: float = 5.0) -> bool:
        return not self.away


class Kept(Record):
    def __init__(self) -> None:
        self.states: list[KeptRecording] = []

    def recording(self, it: KeptRecording) -> None:
        self.states.append(it)


class Stream:
    """A stream that says whether it is recorded."""

    def __init__(self) -> None:
        self.recorder: Recorder | None = None

    def record(self, recorder: Recorder | None) -> None:
        self.recorder = recorder

    def is_recorded(self) -> bool:
        return self.recorder is not None


class Clock:
    """Monotonic seconds that the test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def quick(**changes: Any) -> StudioLimits:
    return StudioLimits(tick_seconds=0.02, least_free=0, **changes)


def recorder_of(studio: Studio, clock: Callable[[], float], kept: Record) -> Recorder:
    return Recorder(SID, studio, kept, clock)


def tracks(path: Path) -> tuple[bytes, bytes]:
    """Read a file as a player does: by its head."""
    with path.open("rb") as file:
        sound = find_sound(file)
        assert sound is not None
        assert (sound.channels, sound.rate) == (2, 8000)
        file.seek(sound.start)
        both = file.read(sound.frames * 2)
    return both[0::2], both[1::2]


async def test_a_call_is_recorded_from_first_to_last_stream(tmp_path: Path) -> None:
    book, kept, clock = Book(), Kept(), Clock()
    studio = Studio(tmp_path, book, quick())
    running = asyncio.create_task(studio.run())
    recorder, stream = recorder_of(studio, clock, kept), Stream()
    recorder.opened(stream)
    await recorder.record()
    assert stream.recorder is recorder
    clock.now += 0.5
    recorder.caller(b"c" * 4000)
    recorder.agent(b"a" * 800)
    clock.now += 1.0
    recorder.closed(stream)
    clock.now += 2.0
    other = Stream()
    recorder.opened(other)
    clock.now += 0.5
    recorder.caller(b"d" * 4000)
    recorder.closed(other)
    recorder.finish()
    await eventually(lambda: kept.states[-1].status == "completed")
    assert not studio.is_recorded(SID)
    it = kept.states[-1]
    assert it.frames == 8 * 4000
    assert it.path is not None
    path = tmp_path / it.path
    assert path.relative_to(tmp_path).match(f"recordings/*/*/*/{SID}.wav")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    left, right = tracks(path)
    assert left == b"c" * 4000 + SILENCE * 24000 + b"d" * 4000
    assert right == SILENCE * 4000 + b"a" * 800 + SILENCE * 27200
    await eventually(lambda: not list((tmp_path / "recordings/open").iterdir()))
    running.cancel()
    await studio.aclose()


async def test_what_there_is_so_far_can_be_played_while_the_call_lives(tmp_path: Path) -> None:
    kept = Kept()
    studio = Studio(tmp_path, Book(), quick())
    running = asyncio.create_task(studio.run())
    recorder = recorder_of(studio, time.monotonic, kept)
    recorder.opened(Stream())
    await recorder.record()
    assert recorder.reel is not None
    recorder.agent(b"a" * 8000)
    path = studio.path(recorder.path or "")
    await eventually(lambda: len(tracks(path)[1]) > 800)
    await eventually(lambda: ord("a") in tracks(path)[1])
    assert set(tracks(path)[1]) <= {ord("a"), *SILENCE}
    running.cancel()
    await studio.aclose()
    assert kept.states[-1].status == "completed"


async def test_what_was_sent_before_and_is_heard_after_the_beginning_is_recorded(
    tmp_path: Path,
) -> None:
    kept, clock = Kept(), Clock()
    studio = Studio(tmp_path, Book(), quick())
    running = asyncio.create_task(studio.run())
    recorder = recorder_of(studio, clock, kept)
    await recorder.record(on=False)
    recorder.opened(Stream())
    recorder.agent(b"consent ".ljust(8000, b"c") + b"g" * 8000)
    clock.now += 1.0
    recorder.caller(b"c" * 8000)
    await asyncio.sleep(0.05)
    assert not list(tmp_path.glob("recordings/*/*/*/*.wav"))
    await recorder.record()
    clock.now += 0.5
    recorder.caller(b"r" * 4000)
    recorder.finish()
    await eventually(lambda: kept.states[-1].status == "completed")
    left, right = tracks(tmp_path / (kept.states[-1].path or ""))
    assert (left, right) == (b"r" * 4000, b"g" * 4000)
    running.cancel()
    await studio.aclose()


async def test_a_recording_that_begins_in_the_middle_of_speech_has_the_rest_where_it_was_heard(
    tmp_path: Path,
) -> None:
    kept, clock = Kept(), Clock()
    studio = Studio(tmp_path, Book(), quick())
    running = asyncio.create_task(studio.run())
    recorder = recorder_of(studio, clock, kept)
    recorder.opened(Stream())
    await recorder.record(ahead_ms=2000.0)
    recorder.agent(b"n" * 800)
    clock.now += 3.0
    await eventually(lambda: recorder.reel is not None and recorder.reel.frames)
    recorder.finish()
    await eventually(lambda: kept.states[-1].status == "completed")
    _, right = tracks(tmp_path / (kept.states[-1].path or ""))
    assert right == SILENCE * 16_000 + b"n" * 800 + SILENCE * 7200
    running.cancel()
    await studio.aclose()


async def test_what_comes_before_the_file_is_open_is_recorded(tmp_path: Path) -> None:
    kept, clock = Kept(), Clock()
    studio = Studio(tmp_path, Book(), quick())
    running = asyncio.create_task(studio.run())
    recorder, stream = recorder_of(studio, clock, kept), Stream()
    recorder.opened(stream)
    beginning = recorder.record()
    assert stream.is_recorded()
    recorder.agent(b"a" * 800)
    clock.now += 0.1
    recorder.caller(b"c" * 800)
    await beginning
    recorder.finish()
    await eventually(lambda: kept.states[-1].status == "completed")
    assert tracks(tmp_path / (kept.states[-1].path or "")) == (b"c" * 800, b"a" * 800)
    running.cancel()
    await studio.aclose()


async def test_a_recorder_that_only_listened_leaves_nothing(tmp_path: Path) -> None:
    kept = Kept()
    studio = Studio(tmp_path, Book(), quick())
    running = asyncio.create_task(studio.run())
    recorder, stream = recorder_of(studio, time.monotonic, kept), Stream()
    recorder.opened(stream)
    await recorder.record(on=False)
    assert stream.is_recorded()
    recorder.finish()
    await asyncio.sleep(0.05)
    assert not stream.is_recorded()
    assert (kept.states, list(tmp_path.iterdir())) == ([], [])
    running.cancel()
    await studio.aclose()


async def test_a_disk_that_is_full_ends_the_recording_and_says_so_once(tmp_path: Path) -> None:
    kept, clock = Kept(), Clock()
    studio = Studio(tmp_path, Book(), quick())
    running = asyncio.create_task(studio.run())
    recorder, stream = recorder_of(studio, clock, kept), Stream()
    recorder.opened(stream)
    await recorder.record()
    assert recorder.reel is not None
    clock.now += 2
    await eventually(lambda: recorder.reel is not None and recorder.reel.frames)
    full = os.open("/dev/full", os.O_RDWR)
    os.dup2(full, recorder.reel._fd)
    os.close(full)
    with capture_logs() as logs:
        clock.now += 2
        await eventually(lambda: kept.states[-1].status == "interrupted")
        clock.now += 2
        recorder.caller(b"c" * 160)
        await asyncio.sleep(0.1)
    said = [line for line in logs if line["event"] == "recording ended before its call"]
    assert [line["reason"] for line in said] == ["No space left on device"]
    assert stream.recorder is None
    assert len(tracks(tmp_path / (kept.states[-1].path or ""))[0]) == 12000
    running.cancel()
    await studio.aclose()


async def test_a_disk_that_takes_nothing_ends_recordings_and_never_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, stuck = Kept(), asyncio.Event()
    studio = Studio(tmp_path, Book(), quick(unwritten_seconds=0.1))
    running = asyncio.create_task(studio.run())
    recorder, stream = recorder_of(studio, time.monotonic, kept), Stream()
    recorder.opened(stream)
    await recorder.record()
    await eventually(lambda: recorder.reel is not None and recorder.reel.frames)
    loop = asyncio.get_running_loop()

    def hang(self: Reel, left: bytes, right: bytes) -> None:
        asyncio.run_coroutine_threadsafe(stuck.wait(), loop).result()

    monkeypatch.setattr(Reel, "write", hang)
    await eventually(lambda: stream.recorder is None)
    recorder.caller(b"c" * 160)
    assert recorder.tape is None
    stuck.set()
    await eventually(lambda: kept.states[-1].status == "interrupted")
    running.cancel()
    await studio.aclose()


async def test_no_recording_begins_on_a_disk_with_hardly_any_room(tmp_path: Path) -> None:
    studio = Studio(tmp_path, Book(), StudioLimits(least_free=1 << 62))
    recorder, stream = recorder_of(studio, time.monotonic, Kept()), Stream()
    recorder.opened(stream)
    with pytest.raises(RecordingError, match="are free on the disk"):
        await recorder.record()
    assert stream.recorder is None
    await studio.aclose()


async def test_a_call_that_is_over_is_not_recorded_any_more(tmp_path: Path) -> None:
    studio = Studio(tmp_path, Book(), quick())
    recorder = recorder_of(studio, time.monotonic, Kept())
    recorder.finish()
    with pytest.raises(RecordingError, match="over"):
        await recorder.record()
    await studio.aclose()


async def test_a_recording_that_ended_can_go_on_in_the_same_file(tmp_path: Path) -> None:
    kept, clock = Kept(), Clock()
    studio = Studio(tmp_path, Book(), quick())
    running = asyncio.create_task(studio.run())
    recorder = recorder_of(studio, clock, kept)
    recorder.opened(Stream())
    await recorder.record()
    clock.now += 1
    recorder.caller(b"c" * 8000)
    await eventually(lambda: recorder.reel is not None and recorder.reel.frames == 4000)
    recorder.give_up("a test")
    await eventually(lambda: kept.states[-1].status == "interrupted")
    await recorder.record()
    clock.now += 1
    recorder.caller(b"d" * 8000)
    recorder.finish()
    await eventually(lambda: kept.states[-1].status == "completed")
    left, _ = tracks(tmp_path / (kept.states[-1].path or ""))
    assert left[:4000] == b"c" * 4000
    assert left[-8000:] == b"d" * 8000
    assert len({it.path for it in kept.states}) == 1
    running.cancel()
    await studio.aclose()


WRITER = """
import sys, time
from pathlib import Path
from gateway.recording.reel import Reel
reel = Reel.begin(Path(sys.argv[1]), sys.argv[2])
print("begun", flush=True)
while True:
    reel.write(b"l" * 100, b"r" * 100)
"""


@pytest.mark.parametrize("after", [0.0, 0.01, 0.05])
async def test_a_file_can_be_played_whenever_its_writer_was_killed(
    tmp_path: Path, after: float
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, tmp_path, SID, cwd=ROOT, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    await asyncio.sleep(after)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    (path,) = tmp_path.glob("recordings/*/*/*/*.wav")
    for _ in range(2):  # before it is made whole, and after
        left, right = tracks(path)
        assert (set(left), set(right)) in (({ord("l")}, {ord("r")}), (set(), set()))
        book = Book()
        book.away = True  # the record is not told yet: a second crash would find it again
        studio = Studio(tmp_path, book, quick())
        await studio.mend()
        await studio.aclose()
        row = book.rows[0].values
        if row["status"] == "absent":
            assert not left
            return
        assert (row["id"], row["kind"], row["status"]) == (SID, "own", "interrupted")
        assert row["size"] == path.stat().st_size
    assert (path.stat().st_size - 58) // 2 == len(tracks(path)[0])


@pytest.mark.parametrize("cut", [0, 1, 57, 58, 59, 60, 459])
def test_a_file_that_was_cut_at_any_byte_is_made_whole(tmp_path: Path, cut: int) -> None:
    reel = Reel.begin(tmp_path, SID)
    reel.write(b"l" * 200, b"r" * 200)
    reel.abandon()
    path = tmp_path / reel.path
    os.truncate(path, cut)
    (found,) = files.mend(tmp_path)
    frames = max(0, cut - 58) // 2
    assert (found.frames, found.whole) == (frames, False)
    if frames:
        assert tracks(path) == (b"l" * frames, b"r" * frames)
    else:
        assert not path.exists()


def test_nothing_outside_the_folder_is_touched_by_a_marker(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"x" * 1000)
    (tmp_path / "data/recordings/open").mkdir(parents=True)
    (tmp_path / "data/recordings/open" / SID).write_text("../victim\n")
    (found,) = files.mend(tmp_path / "data")
    assert found.frames == 0
    assert victim.read_bytes() == b"x" * 1000


async def test_a_call_that_comes_back_after_a_crash_goes_on_in_its_file(tmp_path: Path) -> None:
    reel = Reel.begin(tmp_path, SID)
    reel.write(b"l" * 800, b"r" * 800)
    reel.abandon()
    os.utime(tmp_path / reel.path, (time.time() - 2, time.time() - 2))
    kept, clock = Kept(), Clock()
    studio = Studio(tmp_path, Book(), quick())
    running = asyncio.create_task(studio.run())
    await eventually(lambda: studio._interrupted)
    recorder = recorder_of(studio, clock, kept)
    recorder.opened(Stream())
    await recorder.record()
    clock.now += 1
    recorder.caller(b"n" * 8000)
    recorder.finish()
    await eventually(lambda: kept.states[-1].status == "completed")
    left, right = tracks(tmp_path / reel.path)
    assert left[:800] == b"l" * 800
    assert right[:800] == b"r" * 800
    assert left[-8000:] == b"n" * 8000
    assert 2.0 <= (len(left) - 8800) / 8000 < 10
    running.cancel()
    await studio.aclose()


async def test_a_finished_file_is_remembered_until_the_database_knows(tmp_path: Path) -> None:
    kept, book = Kept(), Book()
    book.away = True
    studio = Studio(tmp_path, book, quick())
    running = asyncio.create_task(studio.run())
    recorder = recorder_of(studio, time.monotonic, kept)
    recorder.opened(Stream())
    await recorder.record()
    recorder.agent(b"a" * 8000)
    await asyncio.sleep(0.05)
    recorder.finish()
    await eventually(lambda: kept.states[-1].status == "completed")
    running.cancel()
    await studio.aclose()
    (found,) = files.mend(tmp_path)
    assert found.whole
    assert found.frames == kept.states[-1].frames
    again = Studio(tmp_path, Book(), quick())
    await again.mend()
    assert again._interrupted == {}
    await again.aclose()


def test_a_recorded_socket_is_a_media_socket() -> None:
    from gateway.recording.taps import RecordedSocket

    class Bare:
        def __init__(self) -> None:
            self.told: list[object] = []

        def play(self, audio: bytes) -> None:
            self.told.append(audio)

        def mark(self, name: str) -> None:
            self.told.append(name)

        def clear(self) -> None:
            self.told.append("clear")

        def close(self, code: int = 1000, reason: str = "") -> None:
            self.told.append(code)

    bare = Bare()
    socket: MediaSocket = RecordedSocket(bare, Recorder(SID))
    socket.play(b"x")
    socket.mark("m")
    socket.clear()
    socket.close()
    assert bare.told == [b"x", "m", "clear", 1000]
