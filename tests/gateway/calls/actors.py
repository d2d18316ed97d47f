"""Everyone a call has to do with, as fakes that write down what they are told.

The process is the real `CallProcess` with its real pipe; only the kernel's process is missing, so
that signals are written down and the test decides when and how it ends.
"""

import asyncio
import itertools
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import cast

from gateway.calls.answers import Answer, IncomingCall
from gateway.calls.call import Call
from gateway.calls.registry import Calls
from gateway.calls.rules import CallRules
from gateway.calls.stream import CallStream
from gateway.carriers.control import CarrierError
from gateway.farm.farm import Farm, NotReadyError
from gateway.farm.process import CallProcess, ExitReport
from gateway.media.listener import StreamStart
from shared import messages

SID = "CA" + "1" * 32
ACCOUNT = "AC" + "2" * 32
RECORDING = "RE" + "3" * 32
FALLBACK = "+15005550001"
RULES = CallRules(
    stream_seconds=15.0,
    most_seconds=3600.0,
    hang_seconds=15.0,
    fallback=FALLBACK,
    destinations={"kitchen": "+15005550002"},
)


class Leg:
    """A call at its carrier; ``error`` is raised by whatever is asked of it."""

    def __init__(self, reachable: bool = True) -> None:
        self.reachable = reachable
        self.error: CarrierError | None = None
        self.enforced: list[Answer] = []
        self.asked: list[str] = []
        self.left_off = 0
        self.paused: list[bool] = []

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.error is not None:
            raise self.error

    def url(self, path: str) -> str:
        return "https://gateway.test" + path

    async def enforce(self, answer: Answer) -> None:
        self.enforced.append(answer)
        self._ask("enforce")

    async def start_recording(self) -> str:
        self._ask("start recording")
        return RECORDING

    async def stop_recording(self) -> None:
        self._ask("stop recording")

    async def delete_recording(self) -> str:
        self._ask("delete recording")
        return RECORDING

    async def start_transcription(self) -> None:
        self._ask("start transcription")

    async def stop_transcription(self) -> None:
        self._ask("stop transcription")

    async def leave_off(self) -> None:
        self.left_off += 1

    async def pause(self) -> None:
        self.paused.append(True)

    async def go_on(self) -> None:
        self.paused.append(False)


class Worker(CallProcess):
    """A call's process, played by the test."""

    def __init__(
        self, on_frame: Callable[[bytes], None], on_exit: Callable[[ExitReport], None]
    ) -> None:
        super().__init__("callfarm call", on_frame, on_exit)
        pipe, stderr = self.descriptors()
        self.end = Connection(os.dup(pipe))
        self._stderr = os.dup(stderr)
        self.handed_over()
        self.pid = 4711
        self.signals: list[int] = []
        self.dumps = 0
        self.private = self.weighed = 0
        self._heard: list[messages.Event | bytes] = []

    def kill(self, number: int = 9) -> None:
        self.signals.append(number)

    def dump_stacks(self) -> None:
        self.dumps += 1

    def resident_bytes(self) -> int:
        return self.private and self.private + (100 << 20)

    def private_bytes(self) -> int:
        self.weighed += 1
        return self.private

    @property
    def heard(self) -> list[messages.Event | bytes]:
        """Everything the gateway has told this process so far; audio as bytes."""
        try:
            while self.end.poll(0):
                frame = self.end.recv_bytes()
                audio = messages.audio_of(frame)
                self._heard.append(messages.decode_event(frame) if audio is None else audio)
        except (EOFError, OSError):
            pass
        return self._heard

    def kinds(self) -> list[type]:
        """Return the types of what was heard behind hello and metadata."""
        return [type(event) for event in self.heard[2:]]

    def exit(self, code: int | None = 0, signal: int | None = None) -> None:
        """End."""
        self.ended(ExitReport(code=code, signal=signal))
        if not self.end.closed:
            self.end.close()
            os.close(self._stderr)


class Socket:
    """A media socket that writes down what is played."""

    def __init__(self) -> None:
        self.played: list[object] = []
        self.closed: list[tuple[int, str]] = []

    def play(self, audio: bytes) -> None:
        self.played.append(audio)

    def mark(self, name: str) -> None:
        self.played.append("mark " + name)

    def clear(self) -> None:
        self.played.append("clear")

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.closed.append((code, reason))


class Stage:
    """One call with everyone around it."""

    def __init__(
        self, rules: CallRules = RULES, reachable: bool = True, tools_url: str | None = None
    ) -> None:
        self.leg = Leg(reachable)
        self.over: list[Call] = []
        self._numbers = itertools.count(1)
        self.tokens: list[str] = []
        self.call = Call(
            incoming(self.leg), rules, self._token, self.over.append, tools_url=tools_url
        )
        self.worker = Worker(self.call.frame, self.call.process_exited)
        self.call.begin(self.worker, "r1")

    def _token(self) -> str:
        self.tokens.append(f"token-{next(self._numbers)}")
        return self.tokens[-1]

    def open_stream(self) -> tuple[CallStream, Socket]:
        """The carrier opens a media socket."""
        stream, socket = CallStream(self.call), Socket()
        stream.stream_started(socket, StreamStart("MZ1", {"a": "b"}))
        return stream, socket

    def says(self, command: messages.Command) -> None:
        """The process says something."""
        self.call.frame(messages.encode(command))

    def close(self) -> None:
        """Let go of the process's descriptors."""
        self.worker.exit()


def incoming(leg: Leg | None = None, sid: str = SID) -> IncomingCall:
    """Return a call as its carrier announces it."""
    parameters = {"CallSid": sid, "From": "+1", "To": "+2"}
    return IncomingCall(sid, ACCOUNT, "+1", "+2", "inbound", parameters, leg or Leg())


class FakeFarm:
    """A farm whose processes are `Worker`s."""

    def __init__(self) -> None:
        self.ready = True
        self.workers: list[Worker] = []
        self.strays = 0
        self.direct = False

    def is_direct(self, number: str, agent: str = "") -> bool:
        return self.direct

    def start_process(
        self,
        title: str,
        on_frame: Callable[[bytes], None],
        on_exit: Callable[[ExitReport], None],
    ) -> tuple[CallProcess, str]:
        if not self.ready:
            raise NotReadyError
        self.workers.append(Worker(on_frame, on_exit))
        return self.workers[-1], "r1"

    def end_strays(self) -> None:
        self.strays += 1

    def views(self) -> list[object]:
        return []

    def close(self) -> None:
        for worker in self.workers:
            worker.exit()


def office(
    most_calls: int = 10, memory: int = 0, rules: CallRules = RULES
) -> tuple[Calls, FakeFarm]:
    """Return an empty registry of calls and its farm."""
    farm = FakeFarm()
    return Calls(cast("Farm", farm), rules, most_calls, memory), farm


async def passing(seconds: float) -> None:
    """Let virtual time pass."""
    await asyncio.sleep(seconds)
