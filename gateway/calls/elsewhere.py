"""A call whose media goes past the gateway: the carrier is joined straight to a service.

    webhook ──promise──> process makes a call at the service ──Join──> the carrier joins it
                              └──Relay──> our own stream, after all
    carrier comes back ──promise──> how the stream ended is known, or is not told ──> the answer

Twice the carrier's question has no answer yet. It is promised one, and whoever asks again
meanwhile gets the same. What the answer is, the call decides.
"""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from gateway.calls.answers import Answer, Asked, Connect, Join
from gateway.calls.deadlines import NEXT_SECONDS, Deadlines, Due
from gateway.calls.record import Record
from gateway.calls.state import CallState, Flow, Plan
from gateway.calls.tool_calls import ToolCalls
from gateway.carriers.control import CarrierUnavailableError
from gateway.carriers.tokens import TokenBookFullError
from shared import messages

if TYPE_CHECKING:
    from gateway.calls.answering import Answering

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


class DirectCall(Protocol):
    """The call that it is."""

    flow: Flow
    deadlines: Deadlines
    record: Record
    answering: "Answering"
    elsewhere: "Elsewhere | None"

    def token(self) -> str:
        """Return a token for a new stream. Raises `TokenBookFullError`."""

    def tell(self, event: messages.Event) -> None:
        """Send an event to the process."""

    def await_stream(self) -> None:
        """A stream is to come within its time."""

    def leave(self, plan: Plan, reason: str, target: str = "") -> bool:
        """Go on by ``plan``; false when it is too late for that."""

    def end(self, reason: str) -> None:
        """The call is over."""


class Elsewhere:
    """The service's end of one such call, which may call tools at ``tools_url``."""

    def __init__(self, call: DirectCall, tools_url: str) -> None:
        self._call, self.tools_url = call, tools_url
        self.tools = ToolCalls(call.tell)
        self.stays = False
        """The process is to live as long as the call: it runs tools."""
        self._is_back = False
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

    @property
    def is_undecided(self) -> bool:
        """Whether the caller is there, and nobody has ended that from here."""
        flow = self._call.flow
        return flow.state is CallState.ELSEWHERE and flow.plan is Plan.RECONNECT

    @property
    def away_seconds(self) -> float:
        """How long it may take until the service has let go of the call."""
        # Only a service that waits for a tool can be told; else nobody there lets go.
        return AWAY_SECONDS if len(self.tools) else 0.0

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

    def outcome(self) -> tuple[Plan, str]:
        """Return what follows when the service has ended the call, and why."""
        if self._error:
            return Plan.APOLOGISE, "the service lost the call"
        if self.is_early:
            return Plan.APOLOGISE, "the service left at once"
        return Plan.HANG_UP, "the service hung up"

    def over(self, answer: Answer) -> None:
        """The call is over: nobody waits for its service any more, nor for another answer."""
        self._is_over = True
        self.tools.give_up()
        self._on_line.set()
        self._keep(answer)

    # From the process ------------------------------------------------------------------------

    def begin(self) -> None:
        """The process is to say within its time what the caller is joined to."""
        why = "nothing to join in time"
        self._call.deadlines.set(Due.JOIN, JOIN_SECONDS, self._call.leave, Plan.APOLOGISE, why)

    def take(self, command: messages.Join | messages.Relay | messages.ToolReturned) -> None:
        """Act on what only the process of such a call says."""
        if isinstance(command, messages.ToolReturned):
            self.tools.returned(command)
        elif self.promised and self._call.flow.state is CallState.RINGING:
            self._call.deadlines.cancel(Due.JOIN)
            if isinstance(command, messages.Join):
                self._join(command)
            else:
                self._relay()

    def _join(self, it: messages.Join) -> None:
        call = self._call
        call.flow.machine.move(CallState.ELSEWHERE)
        call.record.state(CallState.ELSEWHERE)
        self.stays, self._joined_at = it.stays, self._loop.time()
        join = Join(it.url, it.name, it.say, it.language)
        call.answering.beginning = join
        self._keep(join)

    def _relay(self) -> None:
        """It is a call like any other from here on."""
        call = self._call
        try:
            connect = Connect(call.token())
        except TokenBookFullError as error:
            call.leave(Plan.APOLOGISE, str(error))
            return
        call.answering.beginning, call.elsewhere = connect, None
        self._came_on_line()  # nobody waits for that any more
        call.await_stream()
        self._keep(connect)

    # From the carrier ------------------------------------------------------------------------

    def asked(self) -> Asked:
        """The carrier asks what is next. What it comes back from it tells in a moment."""
        if self._is_back or not self.is_undecided:
            return self._call.answering.next()
        if not self.promised:
            self._call.deadlines.set(Due.NEXT, STATUS_SECONDS, self.keep_promise)
        return self.promise()

    def reported(self, error: str, over: bool) -> None:
        """The carrier told of its stream to the service: it is ``over``, perhaps by an ``error``.

        It need not tell.
        """
        call = self._call
        if call.flow.state is not CallState.ELSEWHERE:
            return
        if not over:
            self._came_on_line()
            return
        self._is_back, self._error = True, error
        if self.promised:
            self.keep_promise()
        elif error:
            call.deadlines.set(Due.NEXT, NEXT_SECONDS, call.leave, *self.outcome())
        else:
            call.deadlines.set(Due.NEXT, NEXT_SECONDS, call.end, "the caller hung up")

    def _came_on_line(self) -> None:
        """The carrier has joined the caller to the service: what was said before is over."""
        if not self._on_line.is_set():
            self._joined_at = self._loop.time()
            self._on_line.set()

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

    def keep_promise(self) -> None:
        """Answer everybody who waits, if somebody does, by taking the next step."""
        if self.promised:
            self._keep(self._call.answering.next())

    def _keep(self, answer: Answer) -> None:
        if not self._promise.done():
            self._promise.set_result(answer)
