"""Which engines the shipped receptionist uses, and do the embedded ones load."""

import ctypes
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from gateway.doctor.finding import Finding, fail, ok, warn
from shared.engines import choose_engines
from shared.settings import Settings, call_environment

_SDKS = {"deepgram": "deepgram", "openai": "openai", "cartesia": "cartesia"}
"""The packages of those engines that need one; they are looked for and never imported here."""


def check_receptionist(settings: Settings) -> Iterator[Finding]:
    """Tell which engines the keys make the shipped receptionist use, and look for their SDKs."""
    chosen = choose_engines(call_environment({}, settings))
    absent = sorted(
        engine
        for engine in {chosen.stt, chosen.llm, chosen.tts}
        if engine in _SDKS and find_spec(_SDKS[engine]) is None
    )
    if absent:
        fix = "pip install 'callfarm[providers]', or unset the keys"
        yield fail("receptionist", f"{chosen.why}, and no SDK of {', '.join(absent)}", fix)
    elif chosen.fix:
        yield warn("receptionist", chosen.why, chosen.fix)
    else:
        yield ok("receptionist", chosen.why)


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
