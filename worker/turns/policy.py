"""Every knob of turn-taking, in one place: ``turns = Turns(silence_s=8)`` on an agent.

caller   ▁▁▁▇▇▇▁▇▇▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
            │      │  └ the provider says: end of turn; `patience_ms` later it is
            │      └ silence as the provider counts it
            └ turn begins

agent    ▇▇▇▇▇▇▇│▁▁▁▁▁▁▁▁▁│▇▇▇▇▇   a noise: speech goes on where it was cut,
                pause     └ when nothing was recognised, `resume_ms` later at most

agent    ▇▇▇▇▇▇▇│▁▁▁│              words: `interrupt_words` of them, or `interrupt_ms` long
                pause└ commit

         ▇▇▇▇▇▇▇│▁▁▁▁▁▁▁▁▁│▇▇▇▇▇   ears without words: a sound shorter than
                pause     └ `interrupt_sound_ms`, when it is over, was a cough

both     ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁    `silence_s`: "are you still there?", then goodbye
"""

from dataclasses import dataclass, field

BACKCHANNELS = frozenset(
    (
        *("ah", "aha", "hm", "hmm", "huh", "mhm", "mm", "mmhmm", "mmm", "oh", "uh", "uhhuh", "um"),
        *("alright", "okay", "ok", "right", "sure", "yeah", "yep"),
    )
)
"""Words of somebody who listens, and does not want the floor."""


_TIMES = (
    *("patience_ms", "silence_ms", "stall_ms", "longest_ms", "ask_ms", "nothing_ms"),
    *("interrupt_ms", "interrupt_sound_ms", "resume_ms", "nearly_ms"),
    *("ask_times", "warn_s", "keys_timeout_s"),
)
"""Knobs that may be 0 and not less."""


@dataclass(frozen=True, slots=True)
class Turns:
    """How an agent takes turns. Times end in their unit."""

    patience_ms: int = 0
    """Wait after the provider's end of turn, for a caller who only took a breath. The model is
    asked meanwhile; if the caller goes on, the turn does."""

    silence_ms: int | None = None
    """End the turn so long after the provider heard the speech stop, without waiting for its
    own end of turn. ``None`` leaves it to the provider."""

    stall_ms: int = 3000
    """Words are known and nothing new comes for so long: the turn is ended."""

    longest_ms: int = 30_000
    """The longest turn: hold music and a radio in the room end here."""

    ask_ms: int = 700
    """How long the provider has to answer when it is asked to end the turn."""

    nothing_ms: int = 1200
    """A sound that has brought no word for so long was none."""

    interrupt_words: int = 1
    """Words that take the floor from an agent that speaks, before the turn is over. A whole turn
    takes it in any case, unless all of it is `backchannels`."""

    interrupt_ms: int = 1500
    """Or speech of this length, whatever its words."""

    interrupt_sound_ms: int = 500
    """With ears that know no words (`LocalEndpointing`): a sound of this length takes the floor
    once it is over. A shorter one is a cough, or listening aloud."""

    resume_ms: int = 2000
    """After a pause in which nothing was recognised for so long the agent goes on."""

    backchannels: frozenset[str] = BACKCHANNELS
    """Words that do not take the floor, in lower case, without punctuation."""

    nearly_ms: int = 1000
    """An agent with less than this left to say is being answered: any word takes the floor."""

    eager: bool = True
    """Ask the model as soon as the turn has probably ended, and use its answer if it has."""

    silence_s: float | None = 15.0
    """Silence on both sides after which `still_there` is asked. ``None``: never."""

    still_there: str = "Are you still there?"
    ask_times: int = 2
    """How often it is asked before the agent says `goodbye` and hangs up."""

    goodbye: str = "I cannot hear you, so I will hang up now. Goodbye."

    longest_s: float | None = None
    """How long a call may last; `MAX_CALL_SECONDS` of the server holds in any case."""

    warn_s: float = 60.0
    """So long before that the caller is told `warning`."""

    warning: str = "We have one minute left."
    time_up: str = "Our time is up. Goodbye."

    keys_timeout_s: float = 3.0
    """Digits belong together when the next one comes within this time."""

    keys_end: str = "#"
    """The key that ends them at once; it is not part of them."""

    keys_most: int = 32
    """After so many digits they are complete."""

    def __post_init__(self) -> None:
        for name in _TIMES:
            if (getattr(self, name) or 0) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: must not be negative")
        for name in ("interrupt_words", "keys_most"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: must be 1 at least")
        if len(self.keys_end) > 1:
            raise ValueError(f"keys_end is {self.keys_end!r}: one key, or none")
        for name in ("silence_s", "longest_s"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} is {value}: must be above 0, or None")
        if any(word != bare(word) for word in self.backchannels):
            raise ValueError("backchannels are in lower case, without punctuation")


@dataclass(frozen=True, slots=True)
class Utterance:
    """What a caller said in a turn, and where in the posted audio it ended, if that is known."""

    text: str
    at_ms: float | None = field(default=None, compare=False)
    took_floor: bool = field(default=False, compare=False)
    """It has interrupted the agent."""


def spoken(ms: float) -> str:
    """Return what is written down of a turn of which only its length is known."""
    return f"(spoken, {ms / 1000:.1f} s)"


def bare(word: str) -> str:
    """Return a word in lower case with its letters and digits only."""
    return "".join(character for character in word.lower() if character.isalnum())


def words_of(text: str) -> list[str]:
    """Return the words of ``text``, bare: what "the same words" is decided by."""
    return [word for word in map(bare, text.split()) if word]


def is_backchannel(text: str, backchannels: frozenset[str]) -> bool:
    """Tell whether all of ``text`` is said by somebody who listens."""
    return all(word in backchannels for word in words_of(text))
