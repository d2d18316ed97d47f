"""One call's way from its process: the caller's audio, and commands, in the order they came in.

    audio, mark, clear ──> the stream that is open
    command ────────────> who acts on it, or notes it down

A process that sends what is no frame is ended. The other way is `gateway.calls.inbound`.
"""

from typing import Protocol

import structlog

from gateway.calls.elsewhere import Elsewhere
from gateway.calls.inbound import Inbound
from gateway.calls.notes import Notes
from gateway.calls.requests import Requests
from gateway.calls.state import CallState, Flow
from gateway.calls.streams import Streams
from gateway.calls.vigil import Vigil
from gateway.farm.process import CallProcess
from shared import messages


class Spoken(Protocol):
    """The call whose process speaks."""

    flow: Flow
    log: structlog.stdlib.BoundLogger
    process: CallProcess | None
    vigil: Vigil
    streams: Streams
    inbound: Inbound
    requests: Requests
    elsewhere: Elsewhere | None
    notes: Notes


class Outbound:
    """Hears one call's process."""

    __slots__ = ("_call", "_streams", "_vigil")

    def __init__(self, call: Spoken) -> None:
        self._call, self._streams, self._vigil = call, call.streams, call.vigil

    def frame(self, frame: bytes) -> None:
        """A frame of the call's process: audio for the caller, or a command."""
        self._vigil.heard()
        try:
            audio = messages.audio_of(frame)
            if audio is not None:
                stream = self._streams.current
                if stream is not None:
                    stream.socket.play(audio)
                return
            command = messages.decode_command(frame)
        except messages.MalformedFrameError as error:
            self._malformed(error)
            return
        self._command(command)

    def _malformed(self, error: messages.MalformedFrameError) -> None:
        call = self._call
        if call.notes.allowance.take():
            call.log.warning("call ended: nonsense on its pipe", error=str(error))
        if call.process is not None:
            call.process.kill()

    def _command(self, command: messages.Command) -> None:
        call, stream = self._call, self._streams.current
        match command:
            case messages.Mark(name):
                if stream is not None:
                    stream.socket.mark(name)
            case messages.Clear():
                if stream is not None:
                    stream.socket.clear()
            case messages.Hear(batch_ms):
                call.inbound.gather(batch_ms)
            case _ if isinstance(command, messages.Request):
                call.requests.take(command)
                self._let_go()
            case messages.Join() | messages.Relay() | messages.ToolReturned():
                if call.elsewhere is not None:
                    call.elsewhere.take(command)
            case _:
                call.notes.take(command)

    def _let_go(self) -> None:
        """A tool that has ended the call returns now: the service is waiting for that."""
        it = self._call.elsewhere
        if it is not None and len(it.tools) and self._call.flow.state is CallState.LEAVING:
            self._call.requests.settle()
