"""Confirmation codes that survive a telephone: made, spelled and understood.

They are made of letters that do not sound like each other on a line that ends at 3.4 kHz (not B, C,
D, E, G, P, T, V, Z; not M and N; not F and S), hold no vowel, so no word either, and are spelled in
the NATO alphabet. What a caller says back may be letters, NATO words, or both.
"""

import re
import secrets

LETTERS = "FHKLMQRWXY"
"""What codes are made of. Any letter is understood, though."""

_WORDS = (
    "Alpha Bravo Charlie Delta Echo Foxtrot Golf Hotel India Juliett Kilo Lima Mike "
    "November Oscar Papa Quebec Romeo Sierra Tango Uniform Victor Whiskey X-ray Yankee Zulu"
)
NATO = {word[0]: word for word in _WORDS.split()}
"""The ICAO spelling alphabet, with the everyday spelling of Alfa."""

_HEARD = {re.sub("[^a-z]", "", word.lower()): letter for letter, word in NATO.items()} | {
    "alfa": "A",
    "juliet": "J",
    "whisky": "W",
    "oskar": "O",
    "viktor": "V",
    "fox": "F",
}
_X_RAY = re.compile(r"\bx[\s-]+ray\b")
_AS_IN = re.compile(r"\b([a-z])[\s,]+(?:as in|like|for)[\s,]+([a-z]+)")
_TOKEN = re.compile(r"[a-z]+")


def new_code(letters: int) -> str:
    """Return a code of so many letters, at random."""
    return "".join(secrets.choice(LETTERS) for _ in range(letters))


def spelled(code: str) -> str:
    """Return how a code is said: ``Foxtrot, Hotel, X-ray``."""
    return ", ".join(NATO.get(letter, letter) for letter in code.upper())


def understood(said: str) -> str:
    """Return the code in what a caller said, empty when there is no letter in it.

    "ABC", "a b c", "A-B-C", "Alpha Bravo Charlie" and "A as in Alpha, Bravo, C" are all ABC.
    """
    text = _X_RAY.sub("xray", said.lower())
    text = _AS_IN.sub(_one_letter, text)
    return "".join(_HEARD.get(token, token.upper()) for token in _TOKEN.findall(text))


def _one_letter(match: re.Match[str]) -> str:
    """Take "A as in apple" for A. A NATO word is believed rather than the letter before it."""
    return _HEARD.get(match[2], match[1]).lower()
