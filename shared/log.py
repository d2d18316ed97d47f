"""Logging: structlog for our own code, the standard library's records through the same renderer.

One line an event on standard error, as text for people or JSON for machines, with ISO time in UTC
and whatever the caller bound (``call_sid``, ``release``). Secrets do not get in by accident: a
value whose name says that it is one is masked, and libraries that log requests and headers are
heard from their warnings on. Control characters never reach a terminal.
"""

import logging
import re
import sys
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from shared.log_level import LogLevel
from shared.log_sink import Sink

Style = Literal["text", "json"]

_SECRET = re.compile(
    r"(^|_)(token|secret|password|api_key|authorization|signature)$", re.IGNORECASE
)
_CONTROL = {
    code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code not in (9, 10)
}
_TALKATIVE = (
    "alembic",
    "cartesia",
    "deepgram",
    "httpx",
    "httpx2",
    "httpcore",
    "httpcore2",
    "openai",
    "twilio",
    "urllib3",
    "uvicorn",
    "websockets",
)


def configure(
    level: LogLevel = LogLevel.INFO,
    style: Style = "text",
    *,
    threaded: bool = False,
    stream: TextIO | None = None,
) -> logging.Handler:
    """Send all logging of this process to ``stream`` (default: standard error).

    ``threaded`` writes from a thread, so that a slow reader never holds up the one that logs (see
    ``shared.log_sink``): for the gateway, never for a process that forks. Replaces an earlier
    configuration. Returns the handler; closing it writes what still waits.
    """
    stream = stream or sys.stderr
    handler: logging.Handler = Sink(stream) if threaded else logging.StreamHandler(stream)
    handler.setFormatter(_formatter(style, colours=stream.isatty()))
    _replace_root_handler(handler, level)
    structlog.configure(
        processors=[*_shared_processors(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(_number(level)),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # a module's logger follows a later configuration
    )
    return handler


def get_logger(name: str) -> FilteringBoundLogger:
    """Return the logger called ``name``. May be called at import, before ``configure``."""
    logger: FilteringBoundLogger = structlog.get_logger(name)
    return logger


def _replace_root_handler(handler: logging.Handler, level: LogLevel) -> None:
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(_number(level))
    logging.captureWarnings(capture=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.WARNING, _number(level)))


def _number(level: LogLevel) -> int:
    return logging.getLevelNamesMapping()[level.upper()]


def _shared_processors() -> list[Processor]:
    """What happens to every event, ours or a library's, before it is rendered."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        _mask_secrets,
    ]


def _formatter(style: Style, *, colours: bool) -> logging.Formatter:
    ends: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,  # plain: the other formatters show local variables
    ]
    if style == "json":
        ends.append(structlog.processors.JSONRenderer(default=str))
    else:
        plain = structlog.dev.plain_traceback
        ends.append(_escape_control_characters)
        ends.append(
            structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=0, exception_formatter=plain)
        )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared_processors(), processors=ends
    )


def _mask_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for name in event:
        if _SECRET.search(name):
            event[name] = "****"
    return event


def _escape_control_characters(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape what a terminal would obey; a line break survives in tracebacks only."""
    for name, value in event.items():
        if isinstance(value, str):
            clean = value.translate(_CONTROL)
            event[name] = clean if name in ("exception", "stack") else clean.replace("\n", "\\n")
    return event
