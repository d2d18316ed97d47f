import io
import logging
import os
import threading

import pytest

from shared.log_sink import Sink


class Gate(io.StringIO):
    """A stream whose writer waits until somebody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.opened = threading.Event(), threading.Event()

    def write(self, text: str) -> int:
        self.entered.set()
        assert self.opened.wait(30)
        return super().write(text)


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("test", logging.INFO, __file__, 1, text, None, None)


def test_a_reader_that_stands_still_costs_lines_and_their_number_is_told() -> None:
    gate = Gate()
    sink = Sink(gate, capacity=3)
    sink.emit(record("first"))
    assert gate.entered.wait(30)
    for number in range(10):
        sink.emit(record(str(number)))
    assert sink.dropped == 7
    gate.opened.set()
    sink.close()
    assert gate.getvalue().splitlines() == ["first", "log lines dropped: 7", "0", "1", "2"]


def test_a_full_pipe_does_not_stop_the_one_who_logs() -> None:
    reader, writer = os.pipe()
    stream = os.fdopen(writer, "w")
    sink = Sink(stream, capacity=10)
    for _ in range(200):
        sink.emit(record("x" * 10_000))
    assert sink.dropped > 0
    os.close(reader)  # the thread's write ends with EPIPE; nobody is left to tell
    sink.close()
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_a_closed_stream_is_survived() -> None:
    stream = io.StringIO()
    sink = Sink(stream)
    stream.close()
    sink.emit(record("x"))
    sink.close()
    assert sink.dropped > 0


def test_closing_twice_is_allowed_and_leaves_no_thread() -> None:
    before = threading.active_count()
    sink = Sink(io.StringIO())
    sink.close()
    sink.close()
    assert threading.active_count() == before
