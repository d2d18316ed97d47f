"""The call as heard: the caller's and the agent's track on one clock.

It begins with the call's first stream. Between two streams both tracks are silent, for as long as
that took. μ-law, 8 bytes a millisecond.
"""

from shared.audio import SILENCE, bytes_of_ms


class Recording:
    """Two tracks of equal length; with ``keep`` false nothing is kept (long load runs)."""

    def __init__(self, *, keep: bool = True) -> None:
        self._keep = keep
        self._began_ms: float | None = None
        self._caller = bytearray()
        self._agent = bytearray()

    @property
    def caller(self) -> bytes:
        """What the caller said so far."""
        return bytes(self._caller)

    @property
    def agent(self) -> bytes:
        """What the caller heard so far."""
        return bytes(self._agent)

    @property
    def began_ms(self) -> float | None:
        """When, on the call's clock, the recording began."""
        return self._began_ms

    def resume(self, at_ms: float) -> None:
        """A stream begins: fill the time since the last one with silence."""
        if self._began_ms is None:
            self._began_ms = at_ms
        if not self._keep:
            return
        size = bytes_of_ms(at_ms - self._began_ms)
        for track in (self._caller, self._agent):
            track.extend(SILENCE * (size - len(track)))

    def add(self, caller: bytes, agent: bytes) -> None:
        """Append 20 ms of both sides."""
        if self._keep:
            self._caller += caller
            self._agent += agent
