"""Keeps agent code inside its release, with Landlock where the kernel has it.

An allow-list of folders: the interpreter and the installed packages, the system's libraries and
configuration, the snapshot (all read-only), and the temporary folder (read and write). What is
not on it (``.env``, the data folder with the database, other releases, the control socket's
folder) cannot be opened, whoever asks, and what other processes have in /proc (environment,
memory, descriptors) cannot be read. From ABI 6 on, signals and abstract sockets end at the border
as well, and each call has one of its own: it can do nothing to its template or to other calls.

The superuser's powers are given up first: a gateway that runs as root has calls that are not.

Source: Landlock, kernel documentation ``userspace-api/landlock``; struct layouts from
``include/uapi/linux/landlock.h``.
"""

import ctypes
import os
import struct
import sys
import sysconfig
import tempfile
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from shared.landlock import landlock_abi

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h

# Rights on the file system by the ABI that brought them.
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 1 << 1, 1 << 2, 1 << 3
_ABI_1 = (1 << 13) - 1
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_SCOPES = 0b11  # abstract unix sockets, signals
_SCOPES_ABI = 6

_READ = _EXECUTE | _READ_FILE | _READ_DIR

_libc = ctypes.CDLL(None, use_errno=True)

SYSTEM = (
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/bin",
    "/sbin",
    "/etc",
    "/opt",
    "/nix",
    "/proc",
    "/sys",
)
RESOLVERS = ("/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager/resolv.conf")
"""Where /etc/resolv.conf may lead; the rest of /run holds secrets and sockets."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/shm")  # noqa: S108 (a rule, not a file)


def _syscall(number: int, *args: object) -> int:
    result = int(_libc.syscall(number, *args))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _handled(abi: int) -> int:
    rights = _ABI_1
    if abi >= 2:
        rights |= _REFER
    if abi >= 3:
        rights |= _TRUNCATE
    if abi >= 5:
        rights |= _IOCTL_DEV
    return rights


def without(folder: Path, secrets: Collection[Path]) -> Iterator[Path]:
    """Yield ``folder``, or all in it that holds no secret where one lies in it.

    Links in it are passed over: what they lead to is reached by its own name.
    """
    if not any(secret.is_relative_to(folder) for secret in secrets):
        yield folder
    elif folder not in secrets and folder.is_dir() and os.access(folder, os.R_OK):
        for entry in folder.iterdir():
            if not entry.is_symlink():
                yield from without(entry, secrets)


def package_folders(secret: Iterable[Path]) -> list[Path]:
    """Return the folders that imports need: interpreter, packages, and this project's own.

    An entry of ``sys.path`` that contains a ``secret`` folder (a source checkout has ``.env`` and
    the data folder in it) is replaced by the packages that are imported from it.
    """
    private = [path.resolve() for path in secret]
    candidates = {Path(sys.prefix), Path(sys.base_prefix), Path(sys.exec_prefix)}
    candidates |= {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
    candidates |= {Path(entry) for entry in sys.path if entry}
    folders = {path.resolve() for path in candidates}
    allowed = {
        folder for folder in folders if not any(path.is_relative_to(folder) for path in private)
    }
    ours = {Path(__file__).resolve().parent, Path(__file__).resolve().parent.parent / "shared"}
    return sorted(allowed | ours)


def confine(readable: Iterable[Path], writable: Iterable[Path]) -> int:
    """Restrict this process and its children for good; return the ABI used, 0 for none.

    Call `give_up_capabilities` before.

    Folders that do not exist are passed over. Raises ``OSError`` when the kernel has Landlock
    and refuses.
    """
    abi = landlock_abi()
    if not abi:
        return 0
    handled = _handled(abi)
    attributes = struct.pack("=QQQ", handled, 0, _SCOPES if abi >= _SCOPES_ABI else 0)
    size = 8 if abi < 4 else 16 if abi < _SCOPES_ABI else 24
    ruleset = _syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(size), 0)
    try:
        for path in readable:
            _allow(ruleset, path, _READ & handled)
        for path in writable:
            _allow(ruleset, path, handled)
        _syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return abi


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not path.is_dir():
            rights &= _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
        rule = struct.pack("=Qi", rights, fd)
        _syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(fd)


def confine_to(folder: Path, secret: Iterable[Path]) -> int:
    """Confine this process to what a release in ``folder`` needs; see `confine`."""
    private = [path.resolve() for path in secret]
    system = {Path(name).resolve() for name in (*SYSTEM, *RESOLVERS)}
    open_system = [path for each in system for path in without(each, private)]
    readable = [folder, *open_system, *package_folders(private)]
    writable = [*map(Path, DEVICES), Path(tempfile.gettempdir())]
    give_up_capabilities()
    return confine(readable, writable)


def give_up_capabilities() -> None:
    """Leave the superuser's powers for good, where this process has them.

    Some reach across Landlock's borders (CAP_PERFMON reads other processes' memory), and no call
    needs one.
    """
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")
    if _libc.capset(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), bytes(24)):
        raise OSError(ctypes.get_errno(), "capset")


def notes(abi: int) -> list[str]:
    """Return what an operator must know of a kernel whose Landlock is not complete."""
    if not abi:
        return ["this kernel has no Landlock: agent code is NOT confined to its release"]
    if abi < _SCOPES_ABI:
        return [
            f"this kernel's Landlock (ABI {abi}) does not hold back signals: agent code can read "
            "nothing it should not, but it could end the gateway or other calls"
        ]
    return []


def border(abi: int) -> int | None:
    """Return a descriptor for `close_border`, or ``None`` where the kernel has no such thing."""
    if abi < _SCOPES_ABI:
        return None
    attributes = struct.pack("=QQQ", 0, 0, _SCOPES)
    return _syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)


def close_border(ruleset: int) -> None:
    """Part this process (and what it starts) from its siblings and its parent. For good."""
    _syscall(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
