"""Runs the tools that a model calls, and tells what became of each.

    run([a, b]) ──> a and b at once ──all over──> outcomes, in the order of the calls
                       │  └ one takes long: a filler is said
                       ├ over its limit: stopped, `TimedOut`
                       └ barge-in: `Cancelled`, or `Running` and its own outcome later

A step never fails and is never held up: whatever a tool raises, swallows or sleeps through becomes
an outcome, in time. It knows no model and no speech; time is the event loop's.
"""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from worker.errors import CallOverError, RequestError
from worker.llm import Call
from worker.tools.outcome import (
    Cancelled,
    Failed,
    Outcome,
    Running,
    TimedOut,
    ToolError,
    Unknown,
    short,
)
from worker.tools.toolbox import Host, Tool, Toolbox

MOST_CALLS = 16
"""Calls of one step that are run; a model that makes more has lost its way."""

FINISH_SECONDS = 2.0
"""What tools that may finish have left when the call is over."""

STOP_SECONDS = 0.5
"""How long a cancelled tool is waited for in the end; then it is left alone."""

_MOST_TRACEBACK = 8000


@dataclass(frozen=True, slots=True)
class Ran:
    """A call of a tool, what it came to, and how long it took, in seconds."""

    call: Call
    outcome: Outcome
    seconds: float


@dataclass(slots=True, eq=False)
class _Run:
    call: Call
    tool: Tool | None
    task: asyncio.Task[Outcome] | None = None
    began_at: float | None = None
    timers: list[asyncio.TimerHandle] = field(default_factory=list)
    ran: Ran | None = None
    """What its step returns for it."""
    is_over: bool = False
    """Nothing more comes of it."""


@dataclass(slots=True, eq=False)
class _Step:
    runs: list[_Run]
    over: asyncio.Future[None]
    has_filler: bool = False

    def check(self) -> None:
        if not self.over.done() and all(run.ran is not None for run in self.runs):
            self.over.set_result(None)


class Execution:
    """One call's tools at work.

    ``say`` gets the words to say while a tool takes long: once a step at most. ``spoken`` returns
    when what the model said along with its calls was played; tools that are to speak first wait
    for it. ``late`` gets what `run` could not return: the end of a tool that goes on after a
    barge-in, and, when `run` is cancelled, what has become of each call by then.
    """

    def __init__(
        self,
        agent: Host,
        tools: Toolbox,
        *,
        say: Callable[[str], None] | None = None,
        late: Callable[[Ran], None] | None = None,
        spoken: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._agent, self._tools = agent, tools
        self._say, self._late, self._spoken = say, late, spoken
        self._loop = asyncio.get_running_loop()
        self._steps: set[_Step] = set()
        self._tasks: set[asyncio.Task[Outcome]] = set()
        self._fillers = 0
        self._is_closed = False

    async def run(self, calls: Sequence[Call]) -> list[Ran]:
        """Run the calls of one step, at the same time; return what became of each, in order.

        Raises nothing but ``CancelledError``, which does to the tools what `barge_in` does; what
        would have been returned then goes to ``late``.
        """
        runs = [_Run(call, self._tools.get(call.name)) for call in calls]
        step = _Step(runs, self._loop.create_future())
        self._steps.add(step)
        try:
            for number, run in enumerate(runs):
                self._start(step, run, number)
            step.check()
            await step.over
        except asyncio.CancelledError:
            self._interrupt(step)
            self._hand_over(runs)
            raise
        finally:
            self._steps.discard(step)
        return [run.ran for run in runs if run.ran is not None]

    def barge_in(self) -> None:
        """The caller has taken the floor: stop what is to be stopped; steps return at once.

        A tool that is to finish does: its step has `Running` for it, and ``late`` gets the rest.
        """
        for step in list(self._steps):
            self._interrupt(step)

    @property
    def running(self) -> int:
        """How many tools are at work, those of earlier turns included."""
        return len(self._tasks)

    async def aclose(self) -> None:
        """Stop what runs; what is to finish has `FINISH_SECONDS`. May be called twice."""
        self._is_closed = True
        self.barge_in()
        await self._wait(FINISH_SECONDS)
        for task in self._tasks:
            task.cancel()
        await self._wait(STOP_SECONDS)

    async def _wait(self, seconds: float) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    # One call ------------------------------------------------------------------------------------

    def _start(self, step: _Step, run: _Run, number: int) -> None:
        name = run.call.name
        if self._is_closed:
            self._conclude(step, run, Cancelled(short(name)))
        elif run.tool is None:
            self._conclude(step, run, Unknown(name, tuple(self._tools)))
        elif number >= MOST_CALLS:
            said = f"{name} was not run: more than {MOST_CALLS} calls at once are too many."
            self._conclude(step, run, Failed(said))
        else:
            run.task = self._loop.create_task(self._live(step, run, run.tool))
            self._tasks.add(run.task)
            run.task.add_done_callback(lambda task: self._ended(step, run, task))

    async def _live(self, step: _Step, run: _Run, tool: Tool) -> Outcome:
        if tool.manner.speak_first and self._spoken is not None:
            await self._spoken()
        manner = tool.manner
        run.began_at = self._loop.time()
        run.timers.append(self._loop.call_later(manner.limit_s, self._time_out, step, run, tool))
        if manner.fillers and self._say is not None:
            after = manner.filler_after_s
            run.timers.append(self._loop.call_later(after, self._fill, step, run, tool))
        return await self._outcome(tool, run.call)

    async def _outcome(self, tool: Tool, call: Call) -> Outcome:
        try:
            return await tool.run(self._agent, call.arguments)
        except ToolError as error:
            return Failed(error.sentence)
        except RequestError as error:
            return Failed(f"{call.name} did not work: {error.sentence}.")
        except CallOverError:
            return Cancelled(call.name)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return self._failed(call, error)
        except (Exception, SystemExit) as error:
            return self._failed(call, error)

    def _failed(self, call: Call, error: BaseException) -> Outcome:
        if _is_over(error):
            return Cancelled(call.name)
        told = "".join(traceback.format_exception(error))[-_MOST_TRACEBACK:]
        self._agent.call.log("a tool failed", "error", tool=call.name, traceback=told)
        return Failed(f"An error occurred while processing {call.name}.")

    def _ended(self, step: _Step, run: _Run, task: asyncio.Task[Outcome]) -> None:
        self._tasks.discard(task)
        cancelled = task.cancelled()
        self._conclude(step, run, Cancelled(run.call.name) if cancelled else task.result())

    def _time_out(self, step: _Step, run: _Run, tool: Tool) -> None:
        # Not asyncio.timeout: the step goes on even if the tool does not let itself be cancelled.
        if run.task is not None:
            run.task.cancel()
        self._conclude(step, run, TimedOut(run.call.name, tool.manner.limit_s))

    def _fill(self, step: _Step, run: _Run, tool: Tool) -> None:
        if step.has_filler or run.ran is not None or self._say is None:
            return
        step.has_filler = True
        fillers = tool.manner.fillers
        self._fillers += 1
        self._say(fillers[(self._fillers - 1) % len(fillers)])

    def _interrupt(self, step: _Step) -> None:
        for run in step.runs:
            if run.is_over or run.ran is not None or run.task is None or run.tool is None:
                continue
            if run.tool.manner.on_barge_in == "finish" and run.began_at is not None:
                run.ran = self._ran(run, Running(run.call.name))
            else:
                run.task.cancel()
                self._conclude(step, run, Cancelled(run.call.name))
        step.check()

    def _hand_over(self, runs: Sequence[_Run]) -> None:
        if self._late is not None:
            for run in runs:
                if run.ran is not None:
                    self._late(run.ran)

    def _conclude(self, step: _Step, run: _Run, outcome: Outcome) -> None:
        """The end of a call: its step is told, or ``late`` where the step is over already."""
        if run.is_over:
            return
        run.is_over = True
        for timer in run.timers:
            timer.cancel()
        if run.ran is None:
            run.ran = self._ran(run, outcome)
            step.check()
        elif self._late is not None:
            self._late(self._ran(run, outcome))

    def _ran(self, run: _Run, outcome: Outcome) -> Ran:
        seconds = 0.0 if run.began_at is None else self._loop.time() - run.began_at
        return Ran(run.call, outcome, seconds)


def _is_over(error: BaseException) -> bool:
    """Whether nothing went wrong but that the call ended."""
    if isinstance(error, BaseExceptionGroup):
        return all(_is_over(each) for each in error.exceptions)
    return isinstance(error, CallOverError)
