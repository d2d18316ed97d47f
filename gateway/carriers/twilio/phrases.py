"""What the carrier itself says to a caller whom no agent serves, in the operator's words."""

from dataclasses import dataclass

from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Phrases:
    """Each with a full stop. ``language`` is a BCP 47 tag that ``<Say>`` knows; its own: English.

    The first four are followed by ``connecting`` where there is a number to connect the caller
    with, and by ``later`` where there is none.
    """

    busy: str = "All our lines are busy at the moment."
    failed: str = "We are sorry, something went wrong on our side."
    unconnected: str = "Sorry, there was an error connecting your call."
    unanswered: str = "We are sorry, nobody can take your call at the moment."
    connecting: str = "Please stay on the line, we are connecting you."
    later: str = "Please call again later. Goodbye."
    language: str | None = None


USUAL = Phrases()


def phrases_of(settings: Settings) -> Phrases:
    """Return those that are set, and the usual ones where none is."""
    given = {name: getattr(settings, f"say_{name}") for name in Phrases.__dataclass_fields__}
    return Phrases(**{name: text for name, text in given.items() if text is not None})
