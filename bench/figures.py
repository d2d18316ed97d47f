"""Medians and percentiles, what a process holds by the kernel's account, and which machine it is.

Facts: proc(5).
"""

import os
import platform
from collections.abc import Sequence
from pathlib import Path

from shared.kernel import private_bytes

MEGABYTE = 1 << 20


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest of ``values`` that ``percent`` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def median(values: Sequence[float]) -> float:
    """Return the upper median."""
    return percentile(values, 50)


def private_megabytes(pid: int) -> float:
    """Return the memory that ``pid`` shares with nobody, in MB: what a fork really costs."""
    return private_bytes(pid) / MEGABYTE


def anonymous_megabytes(pid: int) -> float:
    """Return the memory that ``pid`` has made for itself, in MB: what grows when it leaks.

    Pages of libraries are left out: whether they count as private depends on who else runs.
    """
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise OSError(f"no RssAnon in /proc/{pid}/status")


def descriptors(pid: int) -> int:
    """Return how many descriptors ``pid`` has open (the folder's size, from Linux 6.2 on)."""
    folder = Path(f"/proc/{pid}/fd")
    return folder.stat().st_size or len(list(folder.iterdir()))


def machine() -> str:
    """Return the size of this machine in one line."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return (
        f"{os.cpu_count()} cores ({model}), {memory:.0f} GB, Linux {platform.release()}, "
        f"{platform.python_implementation()} {platform.python_version()}"
    )
