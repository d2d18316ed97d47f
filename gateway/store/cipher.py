"""What encrypts and decrypts, made of keys that are any text. Slow to make; knows no setting.

A Fernet token (AES-128-CBC with HMAC-SHA256, cryptography.io) tells nothing but when it was made.
"""

import base64
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

_SALT = b"callfarm: secrets in the database, version 1"
"""The same everywhere, so that one ``SECRET_KEY`` opens a database on another machine."""


class NotOursError(ValueError):
    """This was encrypted with none of the keys."""


class Cipher:
    """Encrypts with the first of ``keys`` and decrypts with any. A twentieth of a second a key."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._fernet = MultiFernet([Fernet(_derived(key)) for key in keys])

    def encrypted(self, text: str) -> str:
        """Return ``text`` encrypted."""
        return self._fernet.encrypt(text.encode()).decode()

    def decrypted(self, token: str) -> str:
        """Return what ``token`` encrypts. Raises `NotOursError`."""
        try:
            return self._fernet.decrypt(token.encode()).decode()
        except (InvalidToken, UnicodeError):
            raise NotOursError from None

    def rotated(self, token: str) -> str:
        """Return the same under the first key. Raises `NotOursError`."""
        try:
            return self._fernet.rotate(token.encode()).decode()
        except (InvalidToken, UnicodeError):
            raise NotOursError from None


def _derived(key: str) -> bytes:
    """Return a key for Fernet. Slow on purpose: who has the database may guess at the text."""
    text = key.encode("utf-8", "surrogatepass")
    return base64.urlsafe_b64encode(Scrypt(_SALT, 32, n=1 << 14, r=8, p=1).derive(text))
