"""Do the embedded engines load."""

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.doctor.finding import Finding, fail, ok
from shared.settings import Settings


def check_engines(_settings: Settings) -> Iterator[Finding]:
    """Load the recogniser with its model, and the synthesiser's library."""
    yield _loads("pocketsphinx", _load_pocketsphinx)
    yield _loads("espeak-ng", _load_espeak)


def _loads(name: str, load: Callable[[], None]) -> Finding:
    try:
        load()
    except Exception as error:  # whatever a native package raises at import and load
        return fail(name, f"does not load: {error}", "install callfarm's requirements again")
    return ok(name, "loads")


def _load_pocketsphinx() -> None:
    from pocketsphinx import Decoder

    Decoder(lm=None, loglevel="FATAL")


def _load_espeak() -> None:
    import espeakng_loader

    ctypes.CDLL(espeakng_loader.get_library_path())
    data = Path(espeakng_loader.get_data_path())
    if not data.is_dir():
        raise FileNotFoundError(data)
