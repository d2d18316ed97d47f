"""Changes that no database will ever take, kept in a file with the reason, so that none is lost.

They would hold up all that come after them. Blocks: for a thread.
"""

import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from gateway.store.change import Upsert

MOST_BYTES = 64 << 20
"""The file does not grow beyond it: something is wrong that more of the same does not explain."""


class RefusedFile:
    """JSON lines at ``path``: when, which table, what, and why not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.count = 0
        """Changes that were refused since the start."""

    def keep(self, refused: Iterable[tuple[Upsert, str]]) -> None:
        """Add changes and why each was refused. Raises ``OSError``."""
        lines = []
        for change, reason in refused:
            self.count += 1
            kept = {
                "at": time.time(),
                "reason": reason,
                "table": change.table,
                "values": dict(change.values),
            }
            lines.append(msgspec.json.encode(kept, enc_hook=repr) + b"\n")
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.touch(mode=0o600, exist_ok=True)
        with open(self._path, "ab") as file:
            if file.tell() < MOST_BYTES:
                file.writelines(lines)
