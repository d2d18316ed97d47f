"""What is secret in the database: encrypted before it gets there, with keys made of ``SECRET_KEY``.

``SECRET_KEY`` is any text, or several between commas. The first encrypts, all decrypt: to change
the key, put the new one in front, run ``callfarm rotate``, then take the old one away. A Fernet
token (AES-128-CBC with HMAC-SHA256, cryptography.io) tells nothing but when it was made.

It refuses to know what is encrypted; what it decrypts it shows in no error and no log.
"""

import base64
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from shared.local_secrets import secret_key
from shared.settings import Settings

_SALT = b"callfarm: secrets in the database, version 1"
"""The same everywhere, so that one ``SECRET_KEY`` opens a database on another machine."""


class SecretError(Exception):
    """A secret cannot be read with the keys that are set."""

    def __str__(self) -> str:
        return (
            "a stored secret cannot be decrypted: SECRET_KEY is another one than when it was "
            "stored; put the old key behind the new one, with a comma between them"
        )


class Secrets:
    """Encrypts with the first of ``keys`` and decrypts with any of them.

    Making one takes a twentieth of a second a key.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise ValueError("at least one key")
        self._fernet = MultiFernet([Fernet(_derived(key)) for key in keys])

    @classmethod
    def of(cls, settings: Settings) -> "Secrets":
        """Return those of ``SECRET_KEY``, or of this installation's own, made key.

        Blocks for a moment. Raises ``OSError`` and ``LocalSecretError`` like ``local_secret``.
        """
        return cls([key.strip() for key in secret_key(settings).split(",") if key.strip()])

    def hidden(self, text: str) -> str:
        """Return ``text`` encrypted."""
        return self._fernet.encrypt(text.encode()).decode()

    def shown(self, hidden: str) -> str:
        """Return what ``hidden`` encrypts. Raises `SecretError`."""
        try:
            return self._fernet.decrypt(hidden.encode()).decode()
        except (InvalidToken, UnicodeError):
            raise SecretError from None

    def rotated(self, hidden: str) -> str:
        """Return the same secret under the first key. Raises `SecretError`."""
        try:
            return self._fernet.rotate(hidden.encode()).decode()
        except (InvalidToken, UnicodeError):
            raise SecretError from None


def _derived(key: str) -> bytes:
    """Return a key for Fernet. Slow on purpose: who has the database may guess at the text."""
    text = key.encode("utf-8", "surrogatepass")
    return base64.urlsafe_b64encode(Scrypt(_SALT, 32, n=1 << 14, r=8, p=1).derive(text))
