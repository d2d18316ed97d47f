"""Secrets that nobody set: made once, at random, and kept in ``DATA_DIR`` for us alone.

Gateway and commands may ask at the same moment: one makes the secret, the others read it. Facts:
flock(2) on a directory locks out the other askers and leaves no lock file behind.
"""

import fcntl
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from shared.settings.fields import Settings

AUTH_TOKEN_FILE = "twilio-auth-token"  # noqa: S105
API_TOKEN_FILE = "api-token"  # noqa: S105
SECRET_KEY_FILE = "secret-key"  # noqa: S105


class LocalSecretError(Exception):
    """The file at ``path`` cannot serve as a secret, for ``reason``."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path} {self.reason}; remove it and a new one is made"


def twilio_auth_token(settings: Settings) -> str:
    """Return ``TWILIO_AUTH_TOKEN``, or this installation's own in its place.

    Raises ``OSError`` and ``LocalSecretError`` like ``local_secret``.
    """
    return _set_or_made(settings.twilio_auth_token, settings.data_dir / AUTH_TOKEN_FILE)


def api_token(settings: Settings) -> str:
    """Return ``API_TOKEN``, or this installation's own in its place. Raises as the above."""
    return _set_or_made(settings.api_token, settings.data_dir / API_TOKEN_FILE)


def secret_key(settings: Settings) -> str:
    """Return ``SECRET_KEY``, or this installation's own in its place. Raises as the above."""
    return _set_or_made(settings.secret_key, settings.data_dir / SECRET_KEY_FILE)


def local_secret(path: Path, make: Callable[[], str]) -> str:
    """Return the secret kept in ``path``, after making it with ``make`` if there is none yet.

    The file has mode 0600, a new folder 0700; whoever asks at the same time gets the same
    secret, and a crash leaves all of it or nothing. Raises ``OSError`` when it cannot be kept,
    ``LocalSecretError`` when what is there is no private file with a secret.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(path.parent):
        try:
            return _read(path)
        except FileNotFoundError:
            secret = make()
            _write(path, secret)
            return secret


def _set_or_made(value: SecretStr | None, path: Path) -> str:
    if value is not None:
        return value.get_secret_value()
    return local_secret(path, lambda: secrets.token_hex(16))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> str:
    facts = path.lstat()
    if not stat.S_ISREG(facts.st_mode):
        raise LocalSecretError(path, "is no ordinary file")
    if facts.st_mode & 0o077:
        raise LocalSecretError(path, "can be read by others, so it may be known already")
    secret = path.read_text(errors="replace").strip()
    if not secret:
        raise LocalSecretError(path, "is empty")
    return secret


def _write(path: Path, secret: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w") as file:
        file.write(secret + "\n")
        file.flush()
        os.fsync(descriptor)
    draft.replace(path)
