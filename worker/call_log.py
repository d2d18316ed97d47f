"""Where the log lines of a call's process go: over the pipe, into the gateway's log.

Providers log by structlog, as everything does; the gateway knows which call it is.
"""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog

from worker.voip import VoIP


@contextmanager
def logging_to(call: VoIP) -> Iterator[None]:
    """Send what is logged in this process to the gateway, until the block ends."""

    def send(_: Any, level: str, line: MutableMapping[str, Any]) -> Any:
        event = str(line.pop("event", ""))
        call.log(event, level, **{name: _plain(value) for name, value in line.items()})
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[send])
    try:
        yield
    finally:
        structlog.configure(**before)


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | float | bool | None) else str(value)
