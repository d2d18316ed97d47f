"""How much is logged: five levels, and the syslog names that mean the same as one of them."""

from enum import StrEnum


class LogLevel(StrEnum):
    """The least serious kind of line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


_SYSLOG = {
    "notice": LogLevel.INFO,
    "warn": LogLevel.WARNING,
    "err": LogLevel.ERROR,
    "crit": LogLevel.CRITICAL,
    "alert": LogLevel.CRITICAL,
    "emerg": LogLevel.CRITICAL,
}


def log_level(name: str) -> LogLevel:
    """Return the level called ``name``, in either vocabulary and any case.

    Raises ``ValueError`` that lists the names.
    """
    lower = name.strip().lower()
    if lower in _SYSLOG:
        return _SYSLOG[lower]
    try:
        return LogLevel(lower)
    except ValueError:
        known = ", ".join([*LogLevel, *_SYSLOG])
        raise ValueError(f"write one of {known}") from None
