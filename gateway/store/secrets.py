"""What is secret in the database: encrypted before it gets there, with keys made of ``SECRET_KEY``.

``SECRET_KEY`` is any text, or several between commas. The first encrypts, all decrypt: to change
the key, put the new one in front, run ``callfarm rotate``, then take the old one away.

It refuses to know what is encrypted; what it decrypts it shows in no error and no log.
"""

import asyncio
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.local_secrets import secret_key
from shared.settings import Settings

if TYPE_CHECKING:
    from gateway.store.cipher import Cipher


class SecretError(Exception):
    """A secret cannot be read with the keys that are set."""

    def __str__(self) -> str:
        return (
            "a stored secret cannot be decrypted: SECRET_KEY is another one than when it was "
            "stored; put the old key behind the new one, with a comma between them"
        )


class Secrets:
    """Encrypts with the first of ``keys`` and decrypts with any of them.

    Most gateways keep no secret, so the cipher, with its library, is made when it is first needed.
    That takes a tenth of a second: where an event loop runs, await `ready` before.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise ValueError("at least one key")
        self._keys = tuple(keys)
        self._made: Cipher | None = None
        self._making = threading.Lock()

    @classmethod
    def of(cls, settings: Settings) -> "Secrets":
        """Return those of ``SECRET_KEY``, or of this installation's own, made key.

        Reads a file. Raises ``OSError`` and ``LocalSecretError`` like ``local_secret``.
        """
        return cls([key.strip() for key in secret_key(settings).split(",") if key.strip()])

    async def ready(self) -> None:
        """Return when nothing here takes long any more."""
        if self._made is None:
            await asyncio.to_thread(self._cipher)

    def _cipher(self) -> "Cipher":
        with self._making:
            if self._made is None:
                from gateway.store.cipher import Cipher

                self._made = Cipher(self._keys)
            return self._made

    def hidden(self, text: str) -> str:
        """Return ``text`` encrypted."""
        return self._cipher().encrypted(text)

    def shown(self, hidden: str) -> str:
        """Return what ``hidden`` encrypts. Raises `SecretError`."""
        try:
            return self._cipher().decrypted(hidden)
        except ValueError:
            raise SecretError from None

    def rotated(self, hidden: str) -> str:
        """Return the same secret under the first key. Raises `SecretError`."""
        try:
            return self._cipher().rotated(hidden)
        except ValueError:
            raise SecretError from None
