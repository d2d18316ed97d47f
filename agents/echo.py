"""Returns what the caller says, at once: to hear one's own latency, and to test a line."""

from worker import Agent


class Echo(Agent):
    """Plays every inbound frame back."""

    def on_audio(self, audio: bytes) -> None:
        self.call.play(audio)
