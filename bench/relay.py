"""What a call costs the gateway: its media socket and pipe against the same relay in Starlette.

Callers in one process, one echoing process a call, and between them the server that is measured:
every 20 ms a media message comes in, crosses the pipe, comes back over it and goes out. The two
servers take turns; what counts is the median of each round's ratio, which a busy machine disturbs
least.
"""

import argparse
import multiprocessing
import socket
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection

import uvicorn

from bench import callers, starlette_relay
from gateway.media.listener import Admission, Handshake, MediaSocket, StreamStart
from gateway.media.protocol import media_protocol
from shared.messages import audio_frame, audio_of
from shared.pipe import Pipe

WARM_UP_SECONDS = 1.0
_fork = multiprocessing.get_context("fork")


class Relay:
    """One call in the gateway, reduced to its audio."""

    def __init__(self, connection: Connection) -> None:
        self._pipe = Pipe(connection, self._play, lambda _: None)
        self._socket: MediaSocket

    def stream_started(self, socket: MediaSocket, start: StreamStart) -> None:
        """Keep the way back."""
        self._socket = socket

    def stream_audio(self, audio: bytes) -> None:
        """Send it to the call."""
        self._pipe.send(audio_frame(audio), droppable=True)

    def _play(self, frame: bytes) -> None:
        audio = audio_of(frame)
        if audio is not None:
            self._socket.play(audio)

    def stream_mark(self, name: str) -> None:
        """Not sent here."""

    def stream_dtmf(self, digit: str) -> None:
        """Not sent here."""

    def stream_stopped(self) -> None:
        """Not sent here."""

    def stream_closed(self, code: int, reason: str) -> None:
        """Let go of the call."""
        self._pipe.close()


class Door:
    """Admits ``/media/N`` as call N."""

    def __init__(self, pipes: list[Connection]) -> None:
        self._pipes = pipes

    def admit(self, handshake: Handshake) -> Admission:
        """Return the relay of the call that the path names."""
        index = int(handshake.target.rpartition("/")[2])
        return Admission(Relay(self._pipes[index]), callers.call_sid(index), callers.account_sid())


def gateway_config(pipes: list[Connection]) -> uvicorn.Config:
    """Return the server under test."""
    return uvicorn.Config(
        _no_http,
        http="httptools",
        loop="uvloop",
        ws=media_protocol(Door(pipes)),
        access_log=False,
        lifespan="off",
        log_level="warning",
    )


async def _no_http(scope: object, receive: object, send: object) -> None:
    raise AssertionError("only media sockets here")


SERVERS: dict[str, Callable[[list[Connection]], uvicorn.Config]] = {
    "gateway": gateway_config,
    "starlette, websockets-sansio": partial(starlette_relay.config, ws="websockets-sansio"),
    "starlette, websockets": partial(starlette_relay.config, ws="websockets"),
}


@dataclass(frozen=True, slots=True)
class Round:
    """CPU of the server in ms per call-second, and each frame's time there and back in seconds."""

    cpu: float
    latencies: list[float]


def _echo(connection: Connection) -> None:
    while True:
        connection.send_bytes(connection.recv_bytes())


def _serve(
    build: Callable[[list[Connection]], uvicorn.Config],
    pipes: list[Connection],
    port: socket.socket,
) -> None:
    warnings.simplefilter("ignore")  # uvicorn: one of its WebSocket protocols is deprecated
    uvicorn.Server(build(pipes)).run(sockets=[port])


@contextmanager
def _process(target: Callable[..., None], *args: object) -> Iterator[int]:
    process = _fork.Process(target=target, args=args, daemon=True)
    process.start()
    assert process.pid is not None
    try:
        yield process.pid
    finally:
        process.kill()
        process.join()


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process so far, to the nanosecond (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


def measure(name: str, calls: int, seconds: float) -> Round:
    """Run one server with its callers for ``seconds`` and return what it took."""
    with ExitStack() as stack:
        pipes = []
        for _ in range(calls):
            near, far = multiprocessing.Pipe(duplex=True)
            stack.enter_context(_process(_echo, far))
            far.close()
            pipes.append(near)
        port = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=calls + 10))
        pid = stack.enter_context(_process(_serve, SERVERS[name], pipes, port))
        for near in pipes:
            near.close()
        people = [callers.connect(port.getsockname()[1], index) for index in range(calls)]
        for caller in people:
            stack.enter_context(caller.socket)
        callers.converse(people, WARM_UP_SECONDS)
        before = cpu_seconds(pid)
        latencies = callers.converse(people, seconds)
        assert not any(caller.lost for caller in people), "frames were lost"
        return Round((cpu_seconds(pid) - before) * 1000 / calls / seconds, latencies)


def _report(name: str, rounds: list[Round]) -> None:
    cpu = statistics.median(each.cpu for each in rounds)
    times = sorted(time * 1000 for each in rounds for time in each.latencies)
    p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
    spread = "-".join(f"{f(each.cpu for each in rounds):.2f}" for f in (min, max))
    print(
        f"  {name:<28} {cpu:6.2f} ms CPU a call-second ({spread}), "
        f"{cpu * 20:6.1f} µs a frame there and back; echo p50 {p50:.2f} p99 {p99:.2f} ms"
    )


def main(argv: list[str]) -> int:
    """Print the CPU of each server per call and their ratio; 0 whatever comes out."""
    parser = argparse.ArgumentParser(prog="python -m bench relay", description=__doc__)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=4.0, help="a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=SERVERS, help="run one server, e.g. under perf")
    options = parser.parse_args(argv)
    names = [options.only] if options.only else list(SERVERS)
    rounds: dict[str, list[Round]] = {name: [] for name in names}
    for _ in range(options.rounds):
        for name in names:
            rounds[name].append(measure(name, options.calls, options.seconds))
    print(f"{options.calls} calls, 50 frames a second each way, {options.rounds} rounds:")
    for name in names:
        _report(name, rounds[name])
    for name in names[1:]:
        ratio = statistics.median(
            ours.cpu / theirs.cpu
            for ours, theirs in zip(rounds[names[0]], rounds[name], strict=True)
        )
        print(f"  {names[0]} / {name}: {ratio:.2f} (goal: at most 0.50)")
    return 0
