"""Tells the service manager how the gateway is: systemd's sd_notify protocol, nothing else.

One datagram of ``NAME=value`` lines to the socket named by ``NOTIFY_SOCKET``. Never blocks and
never raises: a service manager that does not listen is no reason to drop a call. Facts:
sd_notify(3), sd_watchdog_enabled(3).
"""

import asyncio
import os
import socket
import time
from collections.abc import Mapping


class Notifier:
    """The line to the service manager; without one every call does nothing.

    Make it before the environment is scrubbed: ``NOTIFY_SOCKET`` is not for other processes.
    """

    def __init__(self, address: str = "", watchdog_seconds: float | None = None) -> None:
        self._address = _path(address)
        self.watchdog_seconds = watchdog_seconds
        """Silence after which the service manager ends the gateway; ``None`` for any."""
        self._socket: socket.socket | None = None
        if self._address:
            kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
            self._socket = socket.socket(socket.AF_UNIX, kind)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Notifier":
        """Return the notifier that ``environ`` asks for."""
        return cls(environ.get("NOTIFY_SOCKET", ""), _watchdog_seconds(environ))

    def ready(self, status: str = "") -> bool:
        """Start-up or reload is complete. This and the others tell whether it was sent."""
        return self._send("READY=1", f"MAINPID={os.getpid()}", _status(status))

    def reloading(self, status: str = "") -> bool:
        """A deploy has begun; ``ready`` ends it."""
        now = f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"
        return self._send("RELOADING=1", now, _status(status))

    def stopping(self, status: str = "") -> bool:
        """The drain has begun."""
        return self._send("STOPPING=1", _status(status))

    def status(self, text: str) -> bool:
        """Set the line that ``systemctl status`` shows."""
        return self._send(_status(text))

    def extend(self, seconds: float) -> bool:
        """Ask for this much more time from now to finish starting or stopping."""
        return self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def watchdog(self) -> bool:
        """The gateway is alive."""
        return self._send("WATCHDOG=1")

    async def keep_alive(self) -> None:
        """Say that the loop runs, twice per watchdog interval, for ever; return if none is set."""
        if self._socket is None or self.watchdog_seconds is None:
            return
        while True:
            self.watchdog()
            await asyncio.sleep(self.watchdog_seconds / 2)

    def close(self) -> None:
        """Close the socket. May be called twice."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str) -> bool:
        if self._socket is None:
            return False
        try:
            self._socket.sendto("\n".join(filter(None, lines)).encode(), self._address)
        except OSError:  # full, gone, or not ours
            return False
        return True


def _path(address: str) -> str:
    """The address as the kernel has it; ``@`` begins an abstract one. Others are not supported."""
    if address.startswith("@"):
        return "\0" + address[1:]
    return address if address.startswith("/") else ""


def _status(text: str) -> str:
    return f"STATUS={' '.join(text.split())}" if text else ""


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    microseconds = environ.get("WATCHDOG_USEC", "")
    meant_for = environ.get("WATCHDOG_PID", str(os.getpid()))
    if not microseconds.isdecimal() or int(microseconds) == 0 or meant_for != str(os.getpid()):
        return None
    return int(microseconds) / 1_000_000
