"""Which message of a media stream may come when, and of which call: a pure state machine.

    STARTING --Start--> RUNNING --Stop--> STOPPED

`Connected` and `Unknown` are ignored everywhere, and everything is ignored once STOPPED, except
a second `Start`: one socket carries one stream. It neither acts on messages nor knows a socket.
"""

from enum import Enum, auto

from gateway.carriers.twilio.stream import Connected, Start, Stop, StreamEvent, Unknown


class Phase(Enum):
    """How far the stream is."""

    STARTING = auto()
    RUNNING = auto()
    STOPPED = auto()


class OutOfOrderError(Exception):
    """A message that may not come now. Nothing has changed because of it."""

    def __init__(self, event: StreamEvent, problem: str) -> None:
        super().__init__(event, problem)
        self.event, self.problem = event, problem

    def __str__(self) -> str:
        return f"{type(self.event).__name__}: {self.problem}"


class StreamOrder:
    """The order of one stream's messages."""

    def __init__(self, call_sid: str, account_sid: str) -> None:
        """Expect the stream of that call and account."""
        self._call_sid, self._account_sid = call_sid, account_sid
        self._stream_sid: str | None = None
        self.phase = Phase.STARTING

    def take(self, event: StreamEvent) -> bool:
        """Move on by ``event``; return whether it is to be acted on.

        Raises `OutOfOrderError`.
        """
        if isinstance(event, Connected | Unknown):
            return False
        if isinstance(event, Start):
            return self._start(event)
        if self.phase is Phase.STARTING:
            raise OutOfOrderError(event, "before Start")
        if self.phase is Phase.STOPPED:
            return False
        if event.stream_sid != self._stream_sid:
            raise OutOfOrderError(event, "of another stream")
        if isinstance(event, Stop):
            self.phase = Phase.STOPPED
        return True

    def _start(self, start: Start) -> bool:
        if self.phase is not Phase.STARTING:
            raise OutOfOrderError(start, "a second one")
        if (start.call_sid, start.account_sid) != (self._call_sid, self._account_sid):
            raise OutOfOrderError(start, "of another call or account")
        self.phase = Phase.RUNNING
        self._stream_sid = start.stream_sid
        return True
