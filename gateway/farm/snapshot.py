"""Snapshots: immutable copies of the agents folder, named by their content.

    DATA_DIR/releases/<id>/        read-only; written beside its place, then renamed into it

The id is the first 12 hex digits of a SHA-256 over every file's path, mode and bytes, so the same
code is the same release. Blocking file work: call it from a thread.
"""

import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

ID_LENGTH = 12
_SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules"})
_MOST_FILES = 10_000
_MOST_BYTES = 512 << 20


class SnapshotError(Exception):
    """The agents folder cannot become a release. ``sentence`` says why and what to do."""

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence
        super().__init__(sentence)

    def __str__(self) -> str:
        return self.sentence


def files_of(source: Path) -> list[Path]:
    """Return the files of ``source`` that belong to a release, in a fixed order.

    Hidden files, byte code and what an editor leaves behind do not. Raises `SnapshotError`.
    """
    if not source.is_dir():
        raise SnapshotError(
            f"there is no agents folder at {source}: callfarm new NAME makes one; or set AGENTS_DIR"
        )
    found: list[Path] = []
    size = 0
    for path in _walk(source):
        found.append(path)
        size += path.stat().st_size
        if len(found) > _MOST_FILES or size > _MOST_BYTES:
            raise SnapshotError(
                f"{source} holds more than {_MOST_FILES} files or {_MOST_BYTES >> 20} MB: "
                "is it the right folder? Keep data out of the agents folder"
            )
    return sorted(found)


def _walk(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name.endswith(("~", ".pyc", ".swp")):
                continue
            if entry.is_dir():
                if entry.name not in _SKIPPED_FOLDERS:
                    yield from _walk(Path(entry.path))
            elif entry.is_file():
                yield Path(entry.path)


def take(source: Path, releases: Path) -> str:
    """Copy ``source`` into ``releases`` unless its content is there already; return the id.

    Raises `SnapshotError`, or ``OSError`` when the disk does.
    """
    releases.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = releases / f".new-{secrets.token_hex(6)}"
    digest = hashlib.sha256()
    try:
        temporary.mkdir()
        for path in files_of(source):
            name = path.relative_to(source)
            content = path.read_bytes()
            mode = 0o555 if path.stat().st_mode & stat.S_IXUSR else 0o444
            digest.update(os.fsencode(f"{name.as_posix()}\0{mode:o}\0{len(content)}\0"))
            digest.update(content)
            target = temporary / name
            target.parent.mkdir(parents=True, exist_ok=True)
            _write_down(target, content, mode)
        release = digest.hexdigest()[:ID_LENGTH]
        if not (releases / release).is_dir():
            _lock_folders(temporary, 0o555)
            temporary.rename(releases / release)
        return release
    finally:
        remove(temporary)


def _write_down(target: Path, content: bytes, mode: int) -> None:
    """Write a file so that it is whole after a power cut: its name promises its content."""
    with target.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        os.fchmod(file.fileno(), mode)


def _lock_folders(folder: Path, mode: int) -> None:
    for path in [*folder.rglob("*"), folder]:
        if path.is_dir():
            path.chmod(mode)


def remove(snapshot: Path) -> None:
    """Delete a snapshot, read-only as it is; nothing happens when it is not there."""
    if snapshot.is_dir():
        _lock_folders(snapshot, 0o755)
        shutil.rmtree(snapshot)


def all_in(releases: Path) -> list[Path]:
    """Return the finished snapshots, the newest first."""
    if not releases.is_dir():
        return []
    found = [path for path in releases.iterdir() if path.is_dir() and path.name[0] != "."]
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def prune(releases: Path, keep: Collection[str], newest: int) -> list[str]:
    """Delete all snapshots but those in ``keep`` and the ``newest`` others; return the deleted.

    What a crash left half written or half deleted goes as well, so none may be taken meanwhile.
    """
    gone = [path for path in all_in(releases) if path.name not in keep][newest:]
    for path in gone:
        # Half a snapshot must never be found under its name.
        path.rename(releases / f".old-{path.name}")
    for path in releases.glob(".*-*"):
        remove(path)
    return [path.name for path in gone]
