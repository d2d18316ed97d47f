"""The gateway, with a pen: from one SIGUSR1 to the next it keeps records of calls that never were.

``python -m bench.scribe`` takes the gateway's commands. Each such call leaves what a real one of a
few minutes does, all in one moment; how many a minute is ``SCRIBE_CALLS`` in the environment.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from itertools import count
from typing import cast

from gateway import server
from gateway.calls.answers import CallLeg, IncomingCall
from gateway.calls.record import Records
from gateway.calls.state import CallState, Plan
from gateway.calls.transcript import Line
from gateway.calls.turns import TurnLog
from gateway.cli.app import main
from gateway.farm.process import ExitReport
from gateway.notify import Notifier
from shared import messages

CALLS_A_MINUTE = float(os.environ.get("SCRIBE_CALLS", "1000"))

LINES, TOOLS = 20, 3

_STAGES = {
    "caller_stopped": 1000.0,
    "stt_final": 1200.0,
    "first_sent": 1700.0,
    "first_heard": 1800.0,
}


def keep_call(records: Records, number: int) -> None:
    """Keep the record of one call, from its beginning to its end."""
    incoming = IncomingCall(
        sid=f"CB{number:032x}",
        account_sid="AC" + "0" * 32,
        from_=f"+1555{number % 10_000_000:07d}",
        to="+15550001111",
        direction="inbound",
        parameters={},
        leg=cast("CallLeg", None),
    )
    record = records.of(incoming, known=False)
    record.begun("release", direct=False)
    record.running("echo:Echo")
    record.state(CallState.STREAMING)
    log = TurnLog()
    for turn in range(LINES):
        role = "agent" if turn % 2 else "caller"
        text = "A table for four at half past seven, please, by the window if there is one."
        record.line(turn, Line(role, text, turn * 4000.0, None, interrupted=False))
        if turn % 2:
            log.timed(turn, _STAGES)
            record.turn(log.turn(turn))
    for number in range(TOOLS):
        record.tool(number, messages.ToolRan("book", '{"people": 4}', "ok", "Booked.", 0.2, 9e3))
    record.agent_state({"people": 4, "at": "19:30"}, 30)
    record.event(messages.CallStatus("completed"))
    record.ended("the caller hung up", Plan.RECONNECT, time.time())
    record.exited(ExitReport(code=0, cpu_seconds=0.4))


class Scribe(server.Gateway):
    """A gateway that can be told to keep records of its own making."""

    async def run(self, notifier: Notifier, announce: Callable[[str], None], watch: bool) -> None:
        """Serve as any gateway."""
        writes = asyncio.Event()

        def toggle() -> None:
            writes.clear() if writes.is_set() else writes.set()

        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, toggle)
        pen = asyncio.create_task(self._write(writes))
        try:
            await super().run(notifier, announce, watch)
        finally:
            pen.cancel()

    async def _write(self, writes: asyncio.Event) -> None:
        for number in count():
            await writes.wait()
            keep_call(self.parts.archive.records, number)
            await asyncio.sleep(60 / CALLS_A_MINUTE)


if __name__ == "__main__":
    server.Gateway = Scribe  # type: ignore[misc]
    main()
