"""The control socket: the same API for the operator's own commands, without a token.

A Unix socket that only its owner can open (mode 0600). Agent code runs as the same user, so a
peer that descends from this gateway is turned away: a call process is always one, since the
gateway adopts every orphan.
"""

import hashlib
import os
import socket
import struct
import tempfile
from asyncio import Transport
from pathlib import Path
from typing import cast

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shared.kernel import lineage

log = structlog.get_logger(__name__)

OPERATOR = "callfarm.operator"
"""Scope key by which the application knows who comes by this socket."""

_LONGEST_PATH = 100  # of 108 that the kernel has for it


def socket_path(data_dir: Path) -> Path:
    """Return where the control socket of a data folder is: in it, or, for a long path, in /tmp."""
    path = data_dir / "control.sock"
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        return path
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"callfarm-{os.getuid()}-{name}.sock"


def bind(path: Path) -> socket.socket:
    """Return a listening socket at ``path``; a stale one is replaced. Raises ``OSError``."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(16)
    return listener


def may_command(pid: int, uid: int) -> bool:
    """Tell whether this process may use the control socket.

    One that is gone may not: a call's child could connect and die, and leave the open connection
    to the call. A command lives until it has its answer.
    """
    try:
        return uid in (0, os.getuid()) and os.getpid() not in lineage(pid)
    except ProcessLookupError:
        return False


class OperatorProtocol(HttpToolsProtocol):
    """HTTP on the control socket, for peers that are not our own processes."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Look at who connects before a byte is read."""
        end = cast("socket.socket", transport.get_extra_info("socket"))
        credentials = end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid, uid, _ = struct.unpack("3i", credentials)
        if not may_command(pid, uid):
            log.warning("control socket: peer turned away", pid=pid, uid=uid)
            transport.abort()
            return
        super().connection_made(transport)


class OperatorApp:
    """The application as the operator sees it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        await self._app({**scope, OPERATOR: True}, receive, send)
