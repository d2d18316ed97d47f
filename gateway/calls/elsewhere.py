"""A call whose media goes past the gateway: the carrier is joined straight to a service.

    webhook ──promise──> process makes a call at the service ──Join──> the carrier joins it
                              └──Relay──> our own stream, after all
    carrier comes back ──promise──> how the stream ended is known, or is not told ──> the answer

Twice the carrier's question has no answer yet. It is promised one, and whoever asks again
meanwhile gets the same. What the answer is, the call decides.
"""

import asyncio
from contextlib import suppress

from gateway.calls.answers import Answer
from gateway.calls.state import Plan
from gateway.calls.tool_calls import ToolCalls
from gateway.carriers.control import CarrierUnavailableError

JOIN_SECONDS = 8.0
"""How long the process has until the carrier must be answered; Twilio gives up after 15 s."""

EARLY_SECONDS = 3.0
"""A service that has left so soon has failed, whatever it says of it: nobody was greeted."""

STATUS_SECONDS = 0.5
"""How long the carrier, when it is back, is kept waiting for its own word on how that came."""

ON_LINE_SECONDS = 60.0
"""How long a request that needs the caller to be joined waits for that, words before included."""

AWAY_SECONDS = 5.0
"""How long a service may take to let go of a call, once a tool of ours has told it to: what it
was saying is heard out. Then the carrier is told by its REST."""


class Elsewhere:
    """What is known of one such call. ``tools_url`` is where its service may call tools."""

    def __init__(self, tools: ToolCalls, tools_url: str) -> None:
        self.tools, self.tools_url = tools, tools_url
        self.stays = False
        """The process is to live as long as the call: it runs tools."""
        self.is_back = False
        """The carrier has said that its stream to the service is over."""
        self._loop = asyncio.get_running_loop()
        self._joined_at: float | None = None
        self._error = ""
        self._on_line, self._is_over = asyncio.Event(), False
        self._promise: asyncio.Future[Answer] = self._loop.create_future()

    @property
    def has_joined(self) -> bool:
        """Whether the carrier was told to join the service."""
        return self._joined_at is not None

    @property
    def is_early(self) -> bool:
        """Whether hardly anything can have been said yet."""
        return self._joined_at is None or self._loop.time() - self._joined_at < EARLY_SECONDS

    def joined(self, stays: bool) -> None:
        """The carrier is being told to join the service."""
        self.stays, self._joined_at = stays, self._loop.time()

    def came_on_line(self) -> None:
        """The carrier has joined the caller to the service: what was said before is over."""
        if not self._on_line.is_set():
            self._joined_at = self._loop.time()
            self._on_line.set()

    async def on_line(self, operation: str) -> None:
        """Return once the caller is joined. Raises `CarrierError` if that is not to be."""
        reason = "nobody has told that the caller is joined to the service"
        with suppress(TimeoutError):
            async with asyncio.timeout(ON_LINE_SECONDS):
                await self._on_line.wait()
                if not self._is_over:
                    return
                reason = "the call is over"
        raise CarrierUnavailableError(operation, reason, perhaps_done=False)

    def over(self) -> None:
        """The call is over: nobody waits for its service any more."""
        self._is_over = True
        self.tools.give_up()
        self._on_line.set()

    def came_back(self, error: str) -> None:
        """The carrier's stream to the service is over; ``error`` is empty if it ended well."""
        self.is_back, self._error = True, error

    def outcome(self) -> tuple[Plan, str]:
        """Return what follows when the service has ended the call, and why."""
        if self._error:
            return Plan.APOLOGISE, "the service lost the call"
        if self.is_early:
            return Plan.APOLOGISE, "the service left at once"
        return Plan.HANG_UP, "the service hung up"

    # Promises --------------------------------------------------------------------------------

    @property
    def promised(self) -> bool:
        """Whether somebody waits for an answer."""
        return not self._promise.done()

    def promise(self) -> asyncio.Future[Answer]:
        """Return the promise that is open, or a new one."""
        if self._promise.done():
            self._promise = self._loop.create_future()
        return self._promise

    def keep(self, answer: Answer) -> None:
        """Answer everybody who waits."""
        if not self._promise.done():
            self._promise.set_result(answer)
