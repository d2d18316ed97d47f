"""Takes away the files of recordings whose rows are to go. It refuses to know why they are.

Rows go after their files: without one nobody would find the file again.
"""

import asyncio
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import RowMapping

from gateway.recording.reel import FOLDER
from gateway.store.gateways import others
from gateway.store.store import Store

_DAY_SECONDS = 86_400.0


async def remove_files(store: Store, rows: Sequence[RowMapping], data_dir: Path) -> set[str]:
    """Remove recordings' files; return the ids of those that are left.

    What is on the disk of another gateway is left to that, as long as it was there within a day.
    ``rows`` have id, path and gateway. Raises ``StoreError``.
    """
    there = await others(store, time.time() - _DAY_SECONDS)
    files = {row["id"]: row["path"] for row in rows if row["path"]}
    theirs = {row["id"] for row in rows if row["gateway"] in there}
    return await asyncio.to_thread(_remove, files, data_dir, theirs)


def _remove(files: dict[str, Any], data_dir: Path, theirs: Collection[str]) -> set[str]:
    """Remove files below ``data_dir``, and folders that are empty then; return what is left.

    Of ``theirs`` one that is not here is.
    """
    root, left = data_dir.resolve(), set[str]()
    roots = (root, (root / FOLDER).resolve())  # which may be a link to another disk
    for recording, name in files.items():
        try:
            path = (root / name).resolve()
            if not any(map(path.is_relative_to, roots)):
                left.add(recording)
                continue
            path.unlink(missing_ok=recording not in theirs)
        except (OSError, RuntimeError):  # it cannot be removed, or is a ring of links
            left.add(recording)
            continue
        with suppress(OSError):
            for folder in path.parents[:3]:  # of day, month and year
                if folder.parent != root and folder not in roots:
                    folder.rmdir()
    return left
