"""What is known of the caller's turn so far: its words, or only how long somebody spoke."""

from worker.stt import EndOfTurn
from worker.turns.policy import spoken


class Known:
    """One turn. It knows nothing of time."""

    def __init__(self) -> None:
        self.kept = ""
        """Words of parts of the turn that the provider has ended already."""
        self.latest = ""
        """The provider's own words of the part it hears now."""
        self.sound_ms = 0.0
        """How long somebody spoke, in parts of which no word is known."""
        self.at_ms: float | None = None
        """Where in the posted audio it has ended so far."""

    @property
    def words(self) -> str:
        """The caller's words so far."""
        return f"{self.kept} {self.latest}".strip()

    @property
    def line(self) -> str:
        """Its words; without any, that somebody spoke; empty for neither."""
        return self.words or (spoken(self.sound_ms) if self.sound_ms else "")

    @property
    def wordless_ms(self) -> float:
        """How long somebody spoke, if that is all that is known; else 0."""
        return 0.0 if self.words else self.sound_ms

    def part_ended(self, event: EndOfTurn) -> None:
        """The provider has ended a part: its last words replace those it had believed."""
        self.kept, self.latest = f"{self.kept} {event.text}".strip(), ""
        self.ended(event)

    def ended(self, event: EndOfTurn) -> None:
        """Note what an end says besides words."""
        self.sound_ms += event.sound_ms
        self.at_ms = event.at_ms if event.at_ms is not None else self.at_ms
