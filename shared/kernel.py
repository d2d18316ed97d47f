"""What callfarm asks of the Linux kernel and Python has no call for.

Facts: prctl(2), fcntl(2) (F_SETSIG, F_SETOWN, O_ASYNC), pidfd_open(2), proc(5).
"""

import ctypes
import fcntl
import os
import signal
from pathlib import Path

_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0):
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({option}): {os.strerror(code)}")


def become_subreaper() -> None:
    """Adopt orphaned descendants, so that their exit statuses come here. Raises ``OSError``."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def hide_from_ptrace() -> None:
    """Let no process of the same user read this one's memory, environment or descriptors.

    Raises ``OSError``.
    """
    _prctl(_PR_SET_DUMPABLE, 0)


def arm_lifeline(lifeline: int, owner: int) -> None:
    """Have the kernel kill ``owner`` when the last write end of the pipe ``lifeline`` closes.

    ``owner`` is a process id, or a negative process group id. The owner belongs to the open file
    description, not to the descriptor, so each process that wants a lifeline of its own opens
    one (`reopen`). Works in an endless loop, too: no code of the process has to run.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, owner)
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC | os.O_NONBLOCK)


def reopen(fd: int) -> int:
    """Return a descriptor of the same pipe end with an open file description of its own."""
    return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def lifeline_cut(lifeline: int) -> bool:
    """Tell whether the write end of ``lifeline`` is already closed."""
    try:
        return os.read(lifeline, 1) == b""
    except BlockingIOError:
        return False


def kernel_tasks() -> dict[int, str]:
    """Return this process's kernel tasks (threads, native ones included): id to name."""
    tasks = {}
    for entry in Path("/proc/self/task").iterdir():
        try:
            tasks[int(entry.name)] = (entry / "comm").read_text().strip()
        except (FileNotFoundError, ProcessLookupError):  # it ended between the two looks
            continue
    return tasks


def open_sockets() -> list[int]:
    """Return this process's descriptors that are sockets."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            if str(entry.readlink()).startswith("socket:"):
                found.append(int(entry.name))
        except OSError:  # the listing's own descriptor is gone by now
            continue
    return sorted(found)


def parent_of(pid: int) -> int:
    """Return the parent of ``pid``. Raises ``ProcessLookupError`` when it is gone."""
    return int(_stat_fields(pid)[1])


def session_of(pid: int) -> int:
    """Return the session of ``pid``. Raises ``ProcessLookupError`` when it is gone."""
    return int(_stat_fields(pid)[3])


def _stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on: the name before may hold anything."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError) as error:
        raise ProcessLookupError(pid) from error
    return text[text.rindex(")") + 2 :].split()


def lineage(pid: int) -> list[int]:
    """Return ``pid``, its parent, and so on.

    Raises ``ProcessLookupError`` when it, or one on the way, is gone.
    """
    found = []
    while pid > 0:
        found.append(pid)
        pid = parent_of(pid)
    return found


def is_descendant(pid: int, ancestor: int) -> bool:
    """Tell whether ``pid`` is ``ancestor`` or descends from it now; false when it is gone."""
    try:
        return ancestor in lineage(pid)
    except ProcessLookupError:
        return False


def children_of_self() -> list[int]:
    """Return the processes whose parent is this one, adopted ones included."""
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        try:
            found += map(int, (task / "children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):  # a thread that ended meanwhile
            continue
    return found


def resident_bytes(pid: int | str = "self") -> int:
    """Return all memory of ``pid`` that is in RAM, shared with others or not, in bytes (statm).

    The kernel keeps count of it: to ask takes microseconds, where `private_bytes` looks at every
    page. Raises ``ProcessLookupError`` when it is gone.
    """
    try:
        text = Path(f"/proc/{pid}/statm").read_text()
    except FileNotFoundError as error:
        raise ProcessLookupError(pid) from error
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")


def private_bytes(pid: int | str = "self") -> int:
    """Return the memory that ``pid`` shares with nobody, in bytes (smaps_rollup).

    Raises ``ProcessLookupError`` when it is gone, ``PermissionError`` when it may not be read.
    """
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except FileNotFoundError as error:
        raise ProcessLookupError(pid) from error
    return 1024 * sum(
        int(line.split()[1])
        for line in text.splitlines()
        if line.startswith(("Private_Clean:", "Private_Dirty:"))
    )
