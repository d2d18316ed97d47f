"""Which engines hear, think and speak for the shipped receptionist, by the keys that are there.

Hosted ones when all three can be had, else the embedded ones, which need no key: a voice without
ears is no agent. Only the environment is looked at; whether a key is good is the provider's to say.
"""

from collections.abc import Mapping
from dataclasses import dataclass

OFFLINE = "pocketsphinx", "grammar", "espeak"
"""What hears, thinks and speaks without any key."""

_Choices = tuple[tuple[str, tuple[str, ...]], ...]

# Engine, and the variables of which one is enough; the first that can be had is taken.
_EARS: _Choices = (("deepgram", ("DEEPGRAM_API_KEY",)), ("openai", ("OPENAI_API_KEY",)))
_MODELS: _Choices = (("openai", ("OPENAI_API_KEY", "OPENAI_BASE_URL")),)
_VOICES: _Choices = (
    ("cartesia", ("CARTESIA_API_KEY",)),
    ("elevenlabs", ("ELEVENLABS_API_KEY",)),
    ("deepgram", ("DEEPGRAM_API_KEY",)),
    ("openai", ("OPENAI_API_KEY",)),
)
_DEEDS: tuple[tuple[str, _Choices], ...] = (
    ("hears", _EARS),
    ("thinks", _MODELS),
    ("speaks", _VOICES),
)


@dataclass(frozen=True, slots=True)
class Engines:
    """What hears, thinks and speaks, by name; ``why`` is a sentence for the operator.

    ``fix`` says what to set for hosted engines when some of what they need is there; else empty.
    """

    stt: str
    llm: str
    tts: str
    why: str
    fix: str = ""

    @property
    def hosted(self) -> bool:
        """Whether these are providers on the network; never a mixture."""
        return (self.stt, self.llm, self.tts) != OFFLINE


def choose_engines(environ: Mapping[str, str]) -> Engines:
    """Return the engines for this environment. An empty variable counts as not set."""
    present = {name for name, value in environ.items() if value.strip()}
    found = {deed: _first(choices, present) for deed, choices in _DEEDS}
    missing = [deed for deed, engine in found.items() if engine is None]
    hearing, thinking, speaking = found.values()
    if hearing and thinking and speaking:
        why = f"hosted: {hearing} hears, {thinking} thinks, {speaking} speaks"
        return Engines(hearing, thinking, speaking, why)
    names = {name for _, choices in _DEEDS for _, names in choices for name in names}
    if not names & present:
        return Engines(*OFFLINE, "offline engines: no key of a provider is set")
    fixes = ", and ".join(_ways(choices) for deed, choices in _DEEDS if deed in missing)
    why = f"offline engines: no hosted one {' or '.join(missing)} with the keys that are set"
    return Engines(*OFFLINE, why, f"set {fixes}")


def _first(choices: _Choices, present: set[str]) -> str | None:
    return next((engine for engine, names in choices if present & set(names)), None)


def _ways(choices: _Choices) -> str:
    return " or ".join(dict.fromkeys(name for _, names in choices for name in names))
