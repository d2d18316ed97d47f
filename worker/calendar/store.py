"""A SQLite file that all calls of this machine share: made, checked, and used a transaction a time.

Each call opens it for itself and closes it again, so that no handle crosses a fork. It knows that
there are bookings and nothing of when something is open.
"""

import asyncio
import os
import random
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from worker.calendar.booking import BusyError

BUSY_SECONDS = 2.0
"""How long others may keep the file from us."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS bookings (
    code TEXT PRIMARY KEY, begins INTEGER NOT NULL, ends INTEGER NOT NULL, name TEXT NOT NULL,
    places INTEGER NOT NULL, contact TEXT NOT NULL, note TEXT NOT NULL, cancelled INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS bookings_in_time ON bookings (begins);
"""

Result = TypeVar("Result")


class CalendarFileError(Exception):
    """The calendar's file cannot be used. ``path`` is the file."""

    def __init__(self, path: Path, problem: str, fix: str) -> None:
        self.path, self.problem, self.fix = path, problem, fix
        super().__init__(path, problem, fix)

    def __str__(self) -> str:
        return f"the calendar's file {self.path} {self.problem}: {self.fix}"


@dataclass(frozen=True, slots=True)
class BookingFile:
    """The file ``path``, in the temporary folder unless it is absolute."""

    path: str

    @property
    def place(self) -> Path:
        """Where it is."""
        return Path(tempfile.gettempdir()) / self.path

    def prepare(self) -> None:
        """Make the file, for its owner only. Raises `CalendarFileError`."""
        place = self.place
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(place, flags, 0o600)
        except OSError as error:
            raise CalendarFileError(
                place,
                f"cannot be opened ({error.strerror})",
                f"agents may write in {tempfile.gettempdir()} only",
            ) from error
        owner = os.fstat(descriptor).st_uid
        os.close(descriptor)
        if owner != os.geteuid():
            raise CalendarFileError(place, "is another user's", "name another one")
        try:
            with closing(sqlite3.connect(place)) as connection:
                connection.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            raise CalendarFileError(place, f"is unusable ({error})", "move it away") from error

    async def when_free(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Do ``work`` in a transaction of its own; what it raises undoes it.

        It blocks this call for a disk's sync; waiting for other calls does not. Raises `BusyError`
        when they keep the file for `BUSY_SECONDS`.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + BUSY_SECONDS
        while True:
            try:
                with self._transaction() as connection:
                    return work(connection)
            except sqlite3.OperationalError as error:
                # The low byte is the kind, the rest says more (sqlite.org/rescode.html).
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
            if loop.time() > deadline:
                raise BusyError("The calendar is busy.")
            # At random, so that two that met do not meet again.
            await asyncio.sleep(random.uniform(0.005, 0.03))  # noqa: S311

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        if not self.place.exists():
            self.prepare()  # a temporary folder may be cleaned while calls are on
        with closing(sqlite3.connect(self.place, timeout=0, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
