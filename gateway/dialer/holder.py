"""Which gateway it is that dials for a database: how it signs, so that others can name it.

    callfarm dials HOST PID MARK        MARK tells its DATA_DIR, without showing it

PostgreSQL shows the signature among its sessions, so that it has at most 63 bytes.
"""

import hashlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path

_WORDS = "callfarm dials "
_MOST_HOST = 28


@dataclass(frozen=True, slots=True)
class Holder:
    """A gateway: its machine, its process there, and a mark of its ``DATA_DIR``."""

    host: str
    pid: int
    mark: str

    @classmethod
    def of(cls, data_dir: Path) -> "Holder":
        """Return this process as the gateway of ``data_dir``."""
        host = socket.gethostname().partition(".")[0].encode("ascii", "replace").decode()
        place = f"{host}:{data_dir.resolve()}"
        mark = hashlib.sha256(place.encode(errors="surrogateescape")).hexdigest()[:8]
        return cls(host.replace(" ", "-")[:_MOST_HOST] or "host", os.getpid(), mark)

    @classmethod
    def read(cls, signature: str) -> "Holder | None":
        """Return who has signed so, ``None`` if no gateway signs like that."""
        words = signature.removeprefix(_WORDS).split()
        if not signature.startswith(_WORDS) or len(words) != 3 or not words[1].isdecimal():
            return None
        return cls(words[0], int(words[1]), words[2])

    @property
    def signature(self) -> str:
        """How it signs."""
        return f"{_WORDS}{self.host} {self.pid} {self.mark}"

    def is_at(self, other: "Holder") -> bool:
        """Tell whether it is the gateway of the same ``DATA_DIR``, in this life or another."""
        return self.mark == other.mark

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"
