"""Is this machine able to do it: Python, kernel features, memory, descriptors, clock."""

import ctypes
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from gateway.doctor.finding import Finding, fail, ok, warn
from shared.kernel import become_subreaper
from shared.landlock import landlock_abi
from shared.settings import Settings

_DESCRIPTORS_PER_CALL = 6
_DESCRIPTORS_OF_GATEWAY = 128
_MB = 1 << 20
_MB_PER_CALL = 8
_MB_OF_GATEWAY = 250
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_YEAR_2025 = 1_735_689_600  # seconds since 1970


def check_python(_settings: Settings) -> Iterator[Finding]:
    """Look at the interpreter: CPython 3.11 or newer."""
    version = sys.version.split()[0]
    if sys.version_info < (3, 11) or sys.implementation.name != "cpython":
        yield fail("Python", f"{sys.implementation.name} {version}", "use CPython 3.11 or newer")
    else:
        yield ok("Python", version)


def check_kernel(_settings: Settings) -> Iterator[Finding]:
    """Look for what the farm cannot do without, and for Landlock."""
    newer = "use Linux 5.3 or newer, or a container runtime that allows the call"
    try:
        os.close(os.pidfd_open(os.getpid()))
        become_subreaper()
    except (OSError, AttributeError) as error:
        yield fail("kernel", f"no pidfd or no child subreaper: {error}", newer)
    else:
        yield ok("kernel", f"{os.uname().release}, pidfd and child subreaper work")
    if abi := landlock_abi():
        yield ok("Landlock", f"ABI {abi}: agent code is confined to its release")
    else:
        yield warn(
            "Landlock",
            "not available: agent code can read what the server's user can read",
            "use a kernel with Landlock (5.13), or keep secrets in files of another user",
        )


def check_memory(settings: Settings) -> Iterator[Finding]:
    """Compare what ``MAX_CALLS`` calls take with what is free, in MB of 1,048,576 bytes."""
    free = available_memory() // _MB
    need = _MB_OF_GATEWAY + settings.max_calls * _MB_PER_CALL
    text = f"{free} MB free, {settings.max_calls} calls take about {need} MB"
    if free < need:
        room = max(1, (free - _MB_OF_GATEWAY) // _MB_PER_CALL)
        yield warn("memory", text, f"set MAX_CALLS to {room}, or add memory")
    else:
        yield ok("memory", text)


def check_descriptors(settings: Settings) -> Iterator[Finding]:
    """Compare what ``MAX_CALLS`` calls take with the limit on open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = _DESCRIPTORS_OF_GATEWAY + settings.max_calls * _DESCRIPTORS_PER_CALL
    text = f"{soft} allowed, {settings.max_calls} calls take about {need}"
    raised = f"raise it: ulimit -n {need} in a shell, LimitNOFILE= in a unit; or lower MAX_CALLS"
    if soft != resource.RLIM_INFINITY and soft < need:
        higher = hard == resource.RLIM_INFINITY or hard >= need
        yield (warn if higher else fail)("open files", text, raised)
    else:
        yield ok("open files", text)


def check_clock(_settings: Settings) -> Iterator[Finding]:
    """Look whether the clock is right: certificates and tokens expire by it."""
    if time.time() < _YEAR_2025:
        yield fail("clock", f"shows {time.strftime('%Y-%m-%d')}", "set the date; run an NTP client")
    elif clock_is_synchronised():
        yield ok("clock", "synchronised")
    else:
        yield warn("clock", "not synchronised, says the kernel", "run an NTP client")


def available_memory() -> int:
    """Return the bytes that can be taken: of the machine, or of this cgroup if that is less."""
    pages = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            pages = int(line.split()[1]) * 1024
    return min([pages, *_cgroup_room()])


def clock_is_synchronised() -> bool:
    """Ask the kernel (adjtimex(2), read only). True where asking is forbidden."""
    timex = ctypes.create_string_buffer(512)  # struct timex has 208 bytes; modes 0 changes nothing
    return int(ctypes.CDLL(None).adjtimex(timex)) != _TIME_ERROR


def _cgroup_room() -> Iterator[int]:
    for line in _lines(Path("/proc/self/cgroup")):
        if line.startswith("0::"):
            folder = Path("/sys/fs/cgroup") / line[3:].strip().lstrip("/")
            limit, used = _number(folder / "memory.max"), _number(folder / "memory.current")
            if limit is not None and used is not None:
                yield max(0, limit - used)


def _number(path: Path) -> int | None:
    text = "".join(_lines(path)).strip()
    return int(text) if text.isdecimal() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
