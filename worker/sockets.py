"""WebSockets to providers: how every one is opened, and what went wrong with one.

    async with websocket(url, {"xi-api-key": key}) as socket: ...

No compression (audio does not compress, and it costs memory), the shared TLS context, pings every
20 s, and a bounded close. Keys go to the address they are for and nowhere else: redirects are not
followed, and headers are not logged.
"""

import asyncio
import logging
import math
import os
from collections.abc import Mapping
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidStatus,
    InvalidURI,
    WebSocketException,
)

from shared.urls import without_password
from worker.errors import ProviderError, ProviderLostError, ProviderRefusedError
from worker.tls import shared_context

MOST_BYTES = 16 << 20
"""Largest message that is accepted from a provider."""

PING_SECONDS = 20.0

_HINTS = {
    400: "a parameter is wrong",
    401: "the key is wrong: check {key}",
    402: "the account has no credit left",
    403: "the key may not do this: check the plan and {key}",
    404: "there is no such model or voice",
    422: "a parameter is wrong",
}
_MOST_REASON = 200


class _Connect(connect):
    """Opens a socket where it was told to."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Follow none: the key would go along."""
        return exc


def socket_options(url: str) -> dict[str, Any]:
    """Return the options of every provider's socket, for ``websockets.connect``."""
    return {
        "compression": None,
        "max_size": MOST_BYTES,
        "open_timeout": None,  # `Link` has one
        "close_timeout": 1.0,
        "ping_interval": PING_SECONDS,
        "ping_timeout": PING_SECONDS,
        "ssl": shared_context() if url.startswith("wss:") else None,
        "logger": _logger(),
    }


def _logger() -> logging.Logger:
    """Return one for what goes wrong; when it debugs, websockets logs headers, keys included."""
    logger = logging.getLogger("websockets.provider")
    if logger.level != logging.INFO:  # to set it again would touch every logger there is
        logger.setLevel(logging.INFO)
    return logger


def websocket(url: str, headers: Mapping[str, str]) -> connect:
    """Return what opens a socket: an asynchronous context manager of a ``ClientConnection``."""
    return _Connect(url, additional_headers=dict(headers), **socket_options(url))


def status_fault(
    provider: str, key: str, status: int, reason: str = "", retry_after: str | None = None
) -> ProviderError:
    """Return the error for an HTTP ``status``; ``key`` is the variable that holds the key.

    429 and 5xx (and 408, 409, 425) may pass and are worth another try; other 4xx are not.
    """
    reason = _printable(reason, key)
    said = f" ({reason})" if reason else ""
    if status in (408, 409, 425, 429) or status >= 500:
        what = "too many requests" if status == 429 else "is in trouble"
        return ProviderLostError(
            provider, f"{what}: HTTP {status}{said}", status, seconds_of(retry_after)
        )
    moved = f"it is not at this address: check {key.replace('_API_KEY', '_BASE_URL')}"
    hint = moved if status < 400 else _HINTS.get(status, "it refuses").format(key=key)
    return ProviderRefusedError(provider, f"{hint}: HTTP {status}{said}", status)


def _printable(reason: str, key: str) -> str:
    """Return what a provider says on one line, not too long and without the key."""
    reason, secret = " ".join(reason.split()), os.environ.get(key, "").strip()
    if secret:
        reason = reason.replace(secret, "...")
    return "".join(filter(str.isprintable, reason))[:_MOST_REASON]


def at_address(key: str) -> str:
    """Return where a provider was looked for, if an address of its own is set."""
    variable = key.replace("_API_KEY", "_BASE_URL")
    address = os.environ.get(variable, "")
    return f" at {without_password(address)} ({variable})" if address else ""


def seconds_of(retry_after: str | None) -> float | None:
    """Read a Retry-After header that is a number of seconds; a date counts as none."""
    try:
        seconds = float(retry_after) if retry_after is not None else math.nan
    except ValueError:
        return None
    return None if math.isnan(seconds) else max(0.0, seconds)


def socket_fault(provider: str, key: str, error: BaseException) -> ProviderError:
    """Make a `ProviderError` of what a socket raised, opening, reading or writing.

    A close is worth another try unless a provider knows better: 1008 is a refusal here.
    """
    if isinstance(error, ProviderError):
        return error
    if isinstance(error, InvalidStatus):
        answer = error.response
        body = bytes(answer.body or b"").decode("utf-8", "replace").strip()
        retry_after = answer.headers.get("Retry-After")
        return status_fault(provider, key, answer.status_code, body, retry_after)
    if isinstance(error, ConnectionClosed):
        return _close_fault(provider, key, error)
    if isinstance(error, InvalidURI):
        variable = key.replace("_API_KEY", "_BASE_URL")
        return ProviderRefusedError(provider, f"its address is none: check {variable}")
    if isinstance(error, TimeoutError):
        sentence = "did not answer in time"
    elif isinstance(error, OSError | WebSocketException | asyncio.IncompleteReadError):
        sentence = f"cannot be reached{at_address(key)}: {_printable(str(error), key)}"
    else:  # its text may hold what was said
        sentence = f"failed: {type(error).__name__}"
    return ProviderLostError(provider, sentence)


def _close_fault(provider: str, key: str, error: ConnectionClosed) -> ProviderError:
    close = error.rcvd
    if close is None:
        return ProviderLostError(provider, "the connection dropped", 1006)
    sentence = f"closed the connection: {close.code} {_printable(close.reason, key)}".rstrip()
    kind = ProviderRefusedError if close.code == 1008 else ProviderLostError
    return kind(provider, sentence, close.code)
