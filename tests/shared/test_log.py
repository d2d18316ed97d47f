import io
import json
import logging
import os
import pty
import warnings
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
import structlog
from pydantic import SecretStr

from shared import log
from shared.log_level import LogLevel


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_object_with_what_was_bound_and_utc_time() -> None:
    stream = io.StringIO()
    log.configure(LogLevel.INFO, "json", stream=stream)
    with structlog.contextvars.bound_contextvars(call_sid="CA1", release="r2"):
        log.get_logger("gateway.calls").info("call answered", agent="Echo")
    (line,) = lines(stream)
    when = datetime.fromisoformat(str(line.pop("timestamp")))
    assert when.utcoffset() == timedelta(0)
    assert line == {
        "event": "call answered",
        "level": "info",
        "logger": "gateway.calls",
        "call_sid": "CA1",
        "release": "r2",
        "agent": "Echo",
    }


def test_a_librarys_record_is_rendered_alike_with_what_was_bound() -> None:
    stream = io.StringIO()
    log.configure(LogLevel.INFO, "json", stream=stream)
    with structlog.contextvars.bound_contextvars(call_sid="CA1"):
        logging.getLogger("some.library").warning("took %d ms", 7)
    (line,) = lines(stream)
    assert (line["event"], line["logger"], line["call_sid"]) == (
        "took 7 ms",
        "some.library",
        "CA1",
    )


def test_what_is_below_the_level_is_not_written() -> None:
    stream = io.StringIO()
    log.configure(LogLevel.WARNING, "text", stream=stream)
    log.get_logger("x").info("no")
    logging.getLogger("y").info("no")
    log.get_logger("x").warning("yes")
    assert stream.getvalue().count("\n") == 1


def test_a_later_configuration_replaces_an_earlier_one_for_loggers_in_use() -> None:
    first, second = io.StringIO(), io.StringIO()
    logger = log.get_logger("x")
    log.configure(LogLevel.INFO, stream=first)
    logger.info("one")
    log.configure(LogLevel.DEBUG, stream=second)
    logger.debug("two")
    assert "one" in first.getvalue()
    assert "two" not in first.getvalue()
    assert "two" in second.getvalue()


@pytest.mark.parametrize("style", ["text", "json"])
def test_secrets_and_local_variables_do_not_get_in(style: log.Style) -> None:
    stream = io.StringIO()
    log.configure(LogLevel.INFO, style, stream=stream)
    logger = log.get_logger("x")
    password = "h1dden"  # noqa: F841 (a formatter that shows local variables would show it)
    logger.info("a", api_token="h1dden", TWILIO_AUTH_TOKEN="h1dden", signature="h1dden")
    logger.info("b", value=SecretStr("h1dden"), tokens=17)
    try:
        raise ValueError("bad")
    except ValueError:
        logger.exception("c")
    assert "h1dden" not in stream.getvalue()
    assert "17" in stream.getvalue()
    assert "ValueError: bad" in stream.getvalue()


@pytest.mark.parametrize(
    "library",
    ["httpx2", "websockets.client", "twilio.http_client", "alembic.runtime", "uvicorn.error"],
)
def test_libraries_that_log_much_are_heard_from_warnings_on(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    # A server that another test has run may have set its own: the gateway's do not.
    monkeypatch.setattr(logging.getLogger(library.partition(".")[0]), "propagate", True)
    logging.getLogger(library).setLevel(logging.NOTSET)
    log.configure(LogLevel.DEBUG, stream=stream)
    logging.getLogger(library).info("GET /?key=secret")
    logging.getLogger(library).warning("slow")
    assert "secret" not in stream.getvalue()
    assert "slow" in stream.getvalue()


def test_control_characters_and_line_breaks_of_callers_do_not_reach_a_terminal() -> None:
    stream = Terminal()
    log.configure(LogLevel.INFO, "text", stream=stream)
    hostile = "\x1b]0;owned\x07\r\nforged line\x9b2J"
    log.get_logger("x").info(f"path {hostile}", value=hostile)
    logging.getLogger("y").info("path %s", hostile)
    try:
        raise ValueError(hostile)
    except ValueError:
        log.get_logger("x").exception("failed")
    text = stream.getvalue()
    assert not {"\x07", "\r", "\x9b"} & set(text)
    assert "\x1b]" not in text
    assert text.count("\nforged line") == 1  # inside the traceback, where lines are expected


def test_there_are_colours_on_a_terminal_only() -> None:
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        log.configure(LogLevel.INFO, "text", stream=stream)
        log.get_logger("x").info("hello")
    assert "\x1b[" in terminal.getvalue()
    assert "\x1b[" not in file.getvalue()


def test_a_real_terminal_is_recognised() -> None:
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as stream:
        log.configure(LogLevel.INFO, "text", stream=stream)
        log.get_logger("x").info("hello")
        assert b"\x1b[" in os.read(master, 1000)
    os.close(master)


def test_warnings_are_logged() -> None:
    stream = io.StringIO()
    log.configure(LogLevel.INFO, stream=stream)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old ways", UserWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    assert "old ways" in stream.getvalue()


def test_a_threaded_sink_writes_everything_until_it_is_closed() -> None:
    stream = io.StringIO()
    handler = log.configure(LogLevel.INFO, "json", threaded=True, stream=stream)
    for number in range(100):
        log.get_logger("x").info("line", number=number)
    handler.close()
    assert [line["number"] for line in lines(stream)] == list(range(100))
