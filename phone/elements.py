"""Reading one TwiML element: its attributes, its text and what may stand inside it.

Everything odd becomes a `Problem` and a default, as Twilio does with a schema warning; nothing
here raises.
"""

from collections.abc import Collection
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element

from phone.problem import NOT_CARRIED_OUT, Problem

SCHEMA = 12200

_MAX_LOOP = 1000


class Reader:
    """Reads the elements of one document and collects its problems."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def warn(self, code: int, text: str) -> None:
        """Note a warning."""
        self.problems.append(Problem(code, text, warning=True))

    def leave_out(self, text: str) -> None:
        """Note something valid that the phone does not do."""
        self.problems.append(Problem(NOT_CARRIED_OUT, text, warning=True))

    def check(
        self, element: Element, attributes: Collection[str], children: Collection[str] = ()
    ) -> list[Element]:
        """Warn of unknown attributes and misplaced children; return the children allowed."""
        for name in element.attrib:
            if name not in attributes:
                self.warn(
                    SCHEMA, f"<{element.tag}> has no attribute {name!r} (names are camelCase)"
                )
        fit = [child for child in element if child.tag in children]
        for child in element:
            if child.tag not in children:
                self.warn(SCHEMA, f"<{child.tag}> cannot stand in <{element.tag}>: skipped")
        return fit

    def no_text(self, element: Element) -> None:
        """Warn of text where only elements belong."""
        pieces = [element.text, *(child.tail for child in element)]
        if any(piece and piece.strip() for piece in pieces):
            self.warn(SCHEMA, f"<{element.tag}> holds text: ignored")

    def whole(self, element: Element, name: str, default: int, code: int, lowest: int = 0) -> int:
        """Read a whole number of at least ``lowest``."""
        text = element.get(name)
        if text is None:
            return default
        if text.isascii() and text.isdigit() and lowest <= int(text[:10]):
            return int(text[:10])
        self.warn(code, f"<{element.tag} {name}={text!r}>: a whole number from {lowest}")
        return default

    def loop(self, element: Element, code: int) -> int:
        """Read ``loop``: 0 (until hang-up) to 1000."""
        return min(self.whole(element, "loop", 1, code), _MAX_LOOP)

    def choice(
        self, element: Element, name: str, allowed: tuple[str, ...], code: int, default: str
    ) -> str:
        """Read one of the ``allowed`` words."""
        text = element.get(name)
        if text is None or text in allowed:
            return default if text is None else text
        self.warn(code, f"<{element.tag} {name}={text!r}>: use {' or '.join(allowed)}")
        return default

    def method(self, element: Element, code: int, name: str = "method") -> str:
        """Read GET or POST."""
        return self.choice(element, name, ("POST", "GET"), code, "POST")

    def flag(self, element: Element, name: str, code: int) -> bool:
        """Read ``true`` or ``false``, false when absent."""
        return self.choice(element, name, ("true", "false"), code, "false") == "true"

    def absolute_url(self, element: Element, name: str) -> str | None:
        """Read a URL that must be absolute; ``None`` when absent or not so."""
        text = element.get(name)
        if text is None or urlsplit(text).scheme in ("http", "https"):
            return text
        self.warn(SCHEMA, f"<{element.tag} {name}={text!r}>: must be an absolute URL; ignored")
        return None


def text_of(element: Element) -> str:
    """Return the text of ``element`` and all within, runs of white space as one blank."""
    return " ".join("".join(element.itertext()).split())
