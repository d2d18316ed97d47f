"""Lines from the keyboard, or from a pipe, while the event loop goes on.

They are read in a thread, with the terminal's own editing. Nothing can end a thread that waits for
a key, so whoever has begun to read leaves the process by `leave`.
"""

import asyncio
import contextlib
import os
import sys
import termios
import threading
from typing import NoReturn


class Keyboard:
    """Reads a line when one is wanted."""

    def __init__(self, prompt: str) -> None:
        self._prompt = prompt if sys.stdin.isatty() and sys.stdout.isatty() else ""
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._wanted = threading.Semaphore(0)
        threading.Thread(target=self._read, name="keyboard", daemon=True).start()

    async def line(self) -> str | None:
        """Return the next line; ``None`` at the end of the input (Ctrl-D)."""
        self._wanted.release()
        return await self._lines.get()

    def _read(self) -> None:
        if self._prompt:
            with contextlib.suppress(ImportError):
                __import__("readline")  # from here on `input` lets a line be edited
        while True:
            self._wanted.acquire()
            try:
                line: str | None = input(self._prompt)
            except (EOFError, OSError, ValueError):
                line = None
            try:
                self._loop.call_soon_threadsafe(self._lines.put_nowait, line)
            except RuntimeError:  # the loop is closed: the chat is over
                return


class TerminalState:
    """How the terminal was before a line was read: an unfinished line leaves it changed."""

    def __init__(self) -> None:
        self._attributes: list[int | list[bytes | int]] | None = None
        with contextlib.suppress(termios.error, OSError, ValueError):
            self._attributes = termios.tcgetattr(sys.stdin)

    def restore(self) -> None:
        """Put it back."""
        if self._attributes is not None:
            with contextlib.suppress(termios.error, OSError, ValueError):
                termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._attributes)


def leave(code: int) -> NoReturn:
    """End the process at once, with what was written written out."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
