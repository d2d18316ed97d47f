"""What gateway and template say to each other, over a socket that keeps message borders.

One msgpack array a packet, descriptors beside it (SCM_RIGHTS). The template answers from a plain
blocking loop; a packet is small and there is at most one answer to each request.

Process ids in these packets come from a process that ran the operator's code: the gateway
believes them only after it has opened a pidfd and checked whose child it is.
"""

import socket
from typing import Annotated, Any, cast

import msgpack
import msgspec

MAX_PACKET = 60 * 1024
"""Bytes of one packet; a traceback is cut to fit."""

MAX_REPORT = 40 * 1024
"""Bytes of a traceback in `Refused`; its reason may have a tenth of it beside."""

Pid = Annotated[int, msgspec.Meta(ge=1, le=1 << 30)]
Figure = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]
Status = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]
"""A wait status (wait(2)); a template cannot report a process as stopped or continued."""


class _Packet(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    pass


# Template to gateway -------------------------------------------------------------------------


class Stage(_Packet, tag="stage", frozen=True):
    """The release has come so far: ``rehearsing``."""

    name: str


class Ready(_Packet, tag="ready", frozen=True):
    """The template can fork. ``pipe_version`` is its worker's; times in ms, memory in bytes.

    ``direct``: the carrier is to be joined straight to the service of the agent that answers,
    except for calls to the numbers in ``exceptions``, where it is the other way round; and of the
    agents in ``direct_agents`` wherever they are named. ``machines`` is what is done about
    answering machines, where that is not to go on: by agent, by number, by "" for the others.
    """

    pipe_version: int
    agents: list[str]
    load_ms: float
    rehearse_ms: float
    memory: Figure
    notes: list[str]
    direct: bool = False
    exceptions: list[str] = []
    direct_agents: list[str] = []
    machines: dict[str, str] = {}


class Refused(_Packet, tag="refused", frozen=True):
    """The release cannot go live; ``report`` says why, with a traceback when there is one."""

    reason: str
    report: str


class Forked(_Packet, tag="forked", frozen=True):
    """The process for ``key`` exists."""

    key: int
    pid: Pid


class ForkFailed(_Packet, tag="fork-failed", frozen=True):
    """The kernel refused a process for ``key``."""

    key: int
    problem: str


class Exited(_Packet, tag="exited", frozen=True):
    """A child was reaped: wait status, CPU seconds, and its largest resident size in bytes.

    There is no status when somebody else was told of the death, such as the agent's own code.
    """

    pid: Pid
    status: Status | None
    cpu: float
    memory: Figure


Report = Stage | Ready | Refused | Forked | ForkFailed | Exited

# Gateway to template -------------------------------------------------------------------------


class Fork(_Packet, tag="fork", frozen=True):
    """Fork a call process. Descriptors: the pipe's end, the write end for standard error."""

    key: int
    title: str
    memory_limit: int


class Reap(_Packet, tag="reap", frozen=True):
    """Wait for a child whose pidfd says that it is dead."""

    pid: Pid


Order = Fork | Reap


class ControlError(Exception):
    """A packet that is none of these, or too large."""


def send(end: socket.socket, packet: Report | Order, fds: tuple[int, ...] = ()) -> None:
    """Send one packet. Raises ``OSError`` when the other side is gone, ``BlockingIOError``."""
    data = cast("bytes", msgpack.packb(msgspec.to_builtins(packet)))
    if fds:
        socket.send_fds(end, [data], list(fds))
    else:
        end.send(data)


def fit(text: str, size: int = MAX_REPORT) -> str:
    """Return ``text`` for a packet, whatever is in it: the middle goes when it is over ``size``."""
    data = text.encode(errors="backslashreplace")
    if len(data) > size:
        data = data[: size // 4] + b"\n...\n" + data[5 + size // 4 - size :]
    return data.decode(errors="ignore")


def _decode(data: bytes, kinds: Any) -> object:
    try:
        return msgspec.convert(msgpack.unpackb(data), kinds)
    except (ValueError, msgpack.exceptions.UnpackException, RecursionError) as error:
        raise ControlError(str(error)) from error


def decode_report(data: bytes) -> Report:
    """Read what a template said. Raises `ControlError`."""
    return cast("Report", _decode(data, Report))


def decode_order(data: bytes) -> Order:
    """Read what the gateway asked. Raises `ControlError`."""
    return cast("Order", _decode(data, Order))
