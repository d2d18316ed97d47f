"""Tools that a service calls at the gateway, and that the call's process runs.

    service ──call──> `ToolCalls` ──ToolCalled──> process
       <──answer──────────┘  <──ToolReturned──────────┘

Each waits for its answer for a limited time, and no longer than its process lives. What is carried
by HTTP, and how, is somebody else's business.
"""

import asyncio
import hashlib
import itertools
import secrets
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING

from shared import messages

if TYPE_CHECKING:
    from gateway.calls.call import Call

ANSWER_SECONDS = 40.0
"""How long a service waits for a tool at most (Ultravox, "Async tools")."""

MOST_OPEN = 16
"""Tools of one call that run at a time."""


class Fault(Enum):
    """Why there is no answer."""

    LATE = "the tool did not answer in time"
    GONE = "the tool cannot be run any more"
    BUSY = "too many tools of this call are running"


class ToolCalls:
    """The tools of one call that were called and have not answered yet."""

    def __init__(self, tell: Callable[[messages.Event], None]) -> None:
        self._tell = tell
        self._numbers = itertools.count(1)
        self._open: dict[int, asyncio.Future[messages.ToolReturned | Fault]] = {}

    def __len__(self) -> int:
        return len(self._open)

    async def call(self, name: str, arguments: str) -> messages.ToolReturned | Fault:
        """Have the process run a tool; return what came of it."""
        if len(self._open) >= MOST_OPEN:
            return Fault.BUSY
        number = next(self._numbers)
        answer: asyncio.Future[messages.ToolReturned | Fault]
        answer = self._open[number] = asyncio.get_running_loop().create_future()
        self._tell(messages.ToolCalled(number, name, arguments))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await answer
        except TimeoutError:
            return Fault.LATE
        finally:
            del self._open[number]

    def returned(self, answer: messages.ToolReturned) -> None:
        """The process has answered; an answer that nobody waits for is dropped."""
        waiting = self._open.get(answer.request)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def give_up(self) -> None:
        """Nobody is left to answer."""
        for waiting in self._open.values():
            if not waiting.done():
                waiting.set_result(Fault.GONE)


class ToolTokens:
    """Which call a service may call tools of: one token a call, as long as the call lives.

    Kept by digest, so that how long a look-up takes says nothing about the tokens there are.
    """

    def __init__(self) -> None:
        self._calls: dict[bytes, Call] = {}

    def __len__(self) -> int:
        return len(self._calls)

    @staticmethod
    def new() -> str:
        """Return a URL-safe token of 256 random bits."""
        return secrets.token_urlsafe(32)

    def add(self, token: str, call: "Call") -> None:
        """Let ``token`` stand for ``call``."""
        self._calls[_digest(token)] = call

    def find(self, token: str) -> "Call | None":
        """Return the call, unless there is none or it is over."""
        call = self._calls.get(_digest(token))
        return None if call is None or call.flow.over else call

    def revoke(self, call: "Call") -> None:
        """Forget a call's token."""
        for digest in [key for key, it in self._calls.items() if it is call]:
            del self._calls[digest]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
