"""What /proc knows of a gateway's processes: who descends from whom, who is alive, what they hold.

Reads only; knows nothing of calls.
"""

from pathlib import Path

from shared.kernel import is_descendant

_PROC = Path("/proc")


def descendants(ancestor: int) -> set[int]:
    """Return every process below ``ancestor``, itself not included, zombies included."""
    pids = {int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()}
    return {pid for pid in pids - {ancestor} if is_descendant(pid, ancestor)}


def state(pid: int) -> str:
    """Return the kernel's letter for the state of ``pid``; empty when it is gone."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return text[text.rindex(")") + 2 :].split()[0]


def alive(pids: set[int]) -> set[int]:
    """Return those of ``pids`` that still run. A zombie that nobody reaps runs no more."""
    return {pid for pid in pids if state(pid) not in ("", "Z", "X")}


def zombies(ancestor: int) -> set[int]:
    """Return the dead below ``ancestor`` that nobody has reaped."""
    return {pid for pid in descendants(ancestor) if state(pid) == "Z"}


def title(pid: int) -> str:
    """Return the title of ``pid``; empty when it is gone."""
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def titled(ancestor: int, beginning: str) -> set[int]:
    """Return the processes below ``ancestor`` whose title begins so."""
    return {pid for pid in descendants(ancestor) if title(pid).startswith(beginning)}


def environment(pid: int) -> str:
    """Return the environment that ``pid`` was started with."""
    return (_PROC / str(pid) / "environ").read_bytes().decode(errors="replace")


def descriptors(pid: int) -> list[str]:
    """Return what the descriptors of ``pid`` are, sorted, without the numbers of sockets."""
    found = []
    for entry in (_PROC / str(pid) / "fd").iterdir():
        try:
            found.append(str(entry.readlink()).partition(":[")[0])
        except FileNotFoundError:  # closed while we looked
            continue
    return sorted(found)
