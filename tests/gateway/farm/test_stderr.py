"""A process's last words: complete lines as they come, the end of the text for the record."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

import pytest

from gateway.allowance import BURST_LINES
from gateway.farm.stderr import StderrTail
from tests.harness import eventually


class Words:
    """A pipe, its tail, and the lines that came of it."""

    def __init__(self) -> None:
        read, self.write = os.pipe()
        self.lines: list[str] = []
        self.tail = StderrTail(read, self.lines.append)

    def say(self, text: bytes) -> None:
        os.write(self.write, text)

    def hush(self) -> None:
        if self.write >= 0:
            os.close(self.write)
            self.write = -1


@pytest.fixture
async def words() -> AsyncIterator[Words]:
    spoken = Words()
    yield spoken
    spoken.tail.close()
    spoken.hush()


async def test_lines_come_whole_however_they_were_cut(words: Words) -> None:
    words.say(b"Trace")
    words.say(b"back\n  File\n\n")
    await eventually(lambda: len(words.lines) == 2)
    assert words.lines == ["Traceback", "  File"]
    words.say(b"half a line")
    await eventually(lambda: words.tail.text.endswith("half a line"))
    assert len(words.lines) == 2


async def test_only_the_end_of_a_flood_is_kept(words: Words) -> None:
    for number in range(100):
        words.say(b"%04d" % number + b"x" * 995 + b"\n")
        await eventually(lambda count=number: len(words.lines) > count)  # type: ignore[misc]
    assert len(words.tail.text) == 16 * 1024
    assert words.tail.text.endswith("x\n")
    assert "0099" in words.tail.text


async def test_an_endless_line_takes_no_endless_memory(words: Words) -> None:
    await asyncio.to_thread(words.say, b"y" * 80_000 + b"\n")
    await eventually(lambda: words.lines)
    assert len(words.lines[0]) <= 2 * 16 * 1024


async def test_closing_reads_what_is_still_there(words: Words) -> None:
    words.say(b"last words\n")
    words.tail.close()
    assert words.lines == ["last words"]
    words.tail.close()


async def test_a_writer_that_lives_on_does_not_hold_up_the_end(words: Words) -> None:
    words.say(b"bye")
    words.tail.close()
    assert words.tail.text == "bye"


async def test_what_is_no_text_is_shown_as_well_as_can_be(words: Words) -> None:
    words.say(b"\xff\xfe broken\n")
    words.hush()
    await eventually(lambda: words.lines)
    assert words.lines == ["\ufffd\ufffd broken"]


async def test_a_flood_of_lines_is_cut_short_and_counted(words: Words) -> None:
    for _ in range(8):
        await asyncio.to_thread(words.say, b"x\n" * 4000)
    await eventually(lambda: len(words.lines) >= BURST_LINES)
    words.tail.close()
    assert len(words.lines) < BURST_LINES + 100
    assert words.tail.text.endswith("x\n")


async def test_a_writer_that_never_stops_does_not_hold_up_the_end(words: Words) -> None:
    writer = await asyncio.create_subprocess_exec("yes", stdout=words.write)
    await eventually(lambda: words.lines)
    words.tail.close()
    # It may have died of the closed pipe already.
    with contextlib.suppress(ProcessLookupError):
        writer.kill()
    await writer.wait()
