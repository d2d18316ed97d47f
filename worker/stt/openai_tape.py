"""The audio of a session that may have to be sent again. Pure.

    start                     sent              end        positions: bytes of μ-law, from the
      ├────── item 1 ──────┼──── item 2 ──┼──────┤         first that the session took
      │ its words came: forgotten         │ waits
                                          └ a mark: the server is told to commit here

A new connection gets everything from ``start``, marks included. At most ``most`` bytes are kept;
beyond them the oldest are lost, since what was said half a minute ago helps nobody.
"""

from collections import deque
from dataclasses import dataclass

from shared.audio import bytes_of_ms

BATCH_MS = 100
"""What is waited for before audio is sent."""

BATCH_BYTES = bytes_of_ms(BATCH_MS)

MOST_BATCH_BYTES = 8000
"""1 s: how much is sent at once when there is much to send."""


class Commit:
    """The server is to be told to commit."""


@dataclass(slots=True)
class _Item:
    end: int
    answered: bool = False


class Tape:
    """Audio between what was answered and what was posted last."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._audio = bytearray()
        self.start = 0
        self.sent = 0
        self.base = 0
        """Where this connection's audio began."""
        self._marks: deque[int] = deque()
        self._marks_sent = 0
        self._asked: deque[int] = deque()
        """Ends of the commits that were sent and not yet confirmed."""
        self._items: dict[str, _Item] = {}

    @property
    def end(self) -> int:
        """The position after the last byte."""
        return self.start + len(self._audio)

    @property
    def is_ready(self) -> bool:
        """There is enough to be sent, or a commit."""
        return self.end - self.sent >= BATCH_BYTES or self._marks_sent < len(self._marks)

    def add(self, audio: bytes) -> None:
        """Take audio; lose the oldest of it when there is too much."""
        self._audio += audio
        if len(self._audio) > self._most:
            self.forget(self.end - self._most)

    def mark(self) -> None:
        """Have the server commit what was added so far."""
        self._marks.append(self.end)

    def next(self) -> bytes | Commit | None:
        """Return what is to be sent now; it counts as sent."""
        mark = self._marks[self._marks_sent] if self._marks_sent < len(self._marks) else None
        if mark is not None and mark <= self.sent:
            self._marks_sent += 1
            self._asked.append(mark)
            return Commit()
        until = self.end if mark is None else mark
        if mark is None and until - self.sent < BATCH_BYTES:
            return None
        until = min(until, self.sent + MOST_BATCH_BYTES)
        audio = bytes(self._audio[self.sent - self.start : until - self.start])
        self.sent = until
        return audio

    def committed(self, item: str, by_us: bool, end_ms: float | None) -> None:
        """The server made an item of what ends at ``end_ms`` of this connection, or at a mark."""
        end = self.sent if end_ms is None else self.base + int(end_ms * 8)
        if by_us and self._asked:
            end = self._asked.popleft()
        self._items[item] = _Item(min(end, self.sent))

    def refused(self) -> None:
        """The server refused to commit: there was nothing."""
        if self._asked:
            self._forget_mark(self._asked.popleft())

    def answered(self, item: str) -> None:
        """The words of an item came: forget its audio when all before it are answered too."""
        if item not in self._items:
            return
        self._items[item].answered = True
        while self._items and (first := next(iter(self._items.items())))[1].answered:
            del self._items[first[0]]
            self.forget(first[1].end)

    def forget(self, position: int) -> None:
        """Keep nothing before ``position``."""
        gone = min(position, self.end) - self.start
        if gone <= 0:
            return
        del self._audio[:gone]
        self.start += gone
        if self.sent < self.start:  # never sent: the server's clock does not count it
            self.base += self.start - self.sent
            self.sent = self.start
        while self._marks and self._marks[0] <= self.start:
            if self._marks[0] == self.start and not self._marks_sent:
                break  # it is still to be said
            self._marks.popleft()
            self._marks_sent = max(0, self._marks_sent - 1)

    def _forget_mark(self, position: int) -> None:
        if position in self._marks:
            self._marks.remove(position)
            self._marks_sent -= 1

    def rewind(self) -> None:
        """A new connection: send everything again, from the start."""
        self.sent = self.base = self.start
        self._marks_sent = 0
        self._asked.clear()
        self._items.clear()
