"""What a gateway may ask of a carrier about recordings that the carrier has made.

Knows no call, no database and no carrier.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class CarrierRecording:
    """A recording as the carrier has it.

    ``status`` is ``in-progress``, ``processing``, ``completed`` or ``absent``; ``seconds`` is how
    long it is, once that is known.
    """

    status: str
    seconds: float | None


class CarrierArchive(Protocol):
    """The recordings of one account. Every method raises ``CarrierError``."""

    async def look_at_recording(self, recording_sid: str) -> CarrierRecording:
        """Tell how a recording stands."""
        ...

    async def fetch_recording(self, recording_sid: str, file: Path, most_bytes: int) -> int:
        """Write a finished recording, a WAV, to ``file``; return its size in bytes.

        ``file`` is made whole or not at all. Raises ``OSError`` as well, when it cannot be written.
        """
        ...

    async def delete_recording(self, recording_sid: str) -> None:
        """Delete a finished recording; one that is gone already is no error."""
        ...
