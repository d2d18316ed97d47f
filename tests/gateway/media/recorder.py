"""A listener that writes down what it hears."""

from gateway.media.listener import MediaSocket, StreamStart

Heard = tuple[object, ...]


class Recorder:
    """Keeps every event as a tuple whose first item names it."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.socket: MediaSocket | None = None

    def write_down(self, *event: object) -> None:
        self.heard.append(event)

    def stream_started(self, socket: MediaSocket, start: StreamStart) -> None:
        self.socket = socket
        self.write_down("started", start.stream_sid, dict(start.parameters))

    def stream_audio(self, audio: bytes) -> None:
        self.write_down("audio", audio)

    def stream_mark(self, name: str) -> None:
        self.write_down("mark", name)

    def stream_dtmf(self, digit: str) -> None:
        self.write_down("dtmf", digit)

    def stream_stopped(self) -> None:
        self.write_down("stopped")

    def stream_closed(self, code: int, reason: str) -> None:
        self.write_down("closed", code, reason)
