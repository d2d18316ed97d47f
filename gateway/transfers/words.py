"""What a human is told and asked before they take a call, and what counts as yes and no.

In the language of the summary, where it is one of these; else in English. A speech recogniser at
the carrier hears the answer: short answers count, anything longer is somebody's greeting.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

MOST_WORDS = 5
"""An answer is no longer."""

YES_KEY, NO_KEY = "1", "2"


@dataclass(frozen=True, slots=True)
class Words:
    """One language's. ``yes`` and ``no`` are single words or several, in small letters."""

    call: str
    question: str
    declined: str
    gone: str
    yes: tuple[str, ...]
    no: tuple[str, ...]

    def asked(self, summary: str) -> str:
        """Return all that is said to a human who has picked up."""
        end = "" if summary.rstrip()[-1:] in ".!?" else "."
        return f"{self.call} {summary.strip()}{end} {self.question}"

    @property
    def hints(self) -> tuple[str, ...]:
        """What the recogniser should be ready for."""
        return (*self.yes, *self.no)


_WORDS: Mapping[str, Words] = {
    "en": Words(
        "There is a caller for you.",
        "To take the call press 1, or say yes. To decline press 2, or say no.",
        "All right. Goodbye.",
        "The caller is not on the line any more. Goodbye.",
        ("yes", "yeah", "yep", "sure", "accept", "okay", "ok", "put them through"),
        ("no", "nope", "not", "decline", "later", "can't", "cannot", "busy"),
    ),
    "de": Words(
        "Ein Anruf für Sie.",
        "Um ihn anzunehmen, drücken Sie die 1 oder sagen Sie ja. "
        "Um ihn abzulehnen, drücken Sie die 2 oder sagen Sie nein.",
        "In Ordnung. Auf Wiederhören.",
        "Der Anrufer ist nicht mehr in der Leitung. Auf Wiederhören.",
        ("ja", "jawohl", "gerne", "gern", "annehmen", "okay", "ok", "stellen sie durch"),
        ("nein", "nee", "nicht", "ablehnen", "später", "keine"),
    ),
    "es": Words(
        "Hay una llamada para usted.",
        "Para aceptarla pulse 1 o diga sí. Para rechazarla pulse 2 o diga no.",
        "De acuerdo. Adiós.",
        "La persona que llamaba ya no está en línea. Adiós.",
        ("sí", "si", "claro", "acepto", "aceptar", "vale", "de acuerdo"),
        ("no", "rechazar", "rechazo", "ahora no", "después", "luego"),
    ),
    "fr": Words(
        "Un appel pour vous.",
        "Pour le prendre, appuyez sur 1 ou dites oui. Pour le refuser, appuyez sur 2 ou dites non.",
        "Très bien. Au revoir.",
        "La personne n'est plus en ligne. Au revoir.",
        ("oui", "ouais", "accepter", "j'accepte", "d'accord", "passez-la moi", "passez-le moi"),
        ("non", "refuser", "pas", "plus tard"),
    ),
}


def words_of(language: str) -> Words:
    """Return the words of a BCP 47 tag's language."""
    return _WORDS.get(language.partition("-")[0].lower(), _WORDS["en"])


def said_yes(words: Words, digits: str, speech: str) -> bool | None:
    """Tell yes from no; ``None`` when it was neither, or both."""
    if digits:
        return {YES_KEY: True, NO_KEY: False}.get(digits)
    heard = re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", speech.lower().replace("’", "'"))
    if not 0 < len(heard) <= MOST_WORDS:
        return None
    text = f" {' '.join(heard)} "
    yes, no = (any(f" {it} " in text for it in each) for each in (words.yes, words.no))
    return yes if yes != no else None
