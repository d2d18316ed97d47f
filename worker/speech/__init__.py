"""A speech-to-speech model as the call sees it: one service that hears, thinks and speaks.

A provider object is what an author writes on the agent class (``speech = Ultravox(...)``). It is
frozen settings; the template calls ``prepare`` once, each call opens a session of its own. The
service decides when a turn is over and when it was interrupted; a session tells of that in small
events, beside the audio of each of the model's utterances:

| event | says |
|---|---|
| `CallerStarted`, `CallerStopped` | the caller makes a sound; it has ended |
| `CallerTurn` | a turn of the caller is over, its words may still be on their way |
| `CallerSaid` | the words of a turn, final |
| `AgentWords` | the text of an utterance so far |
| `AgentTimed` | where in its audio its words are |
| `AgentDone` | no more audio of it will come |
| `AgentCut` | drop at once what the caller has not heard yet |
| `AgentCorrected` | the words of a cut utterance that the service counts as spoken |
| `ToolsWanted` | the model wants tools called, and waits for the answers |
| `LeftByModel` | the model has ended the conversation |

A service sends what it can. Utterances and turns have keys, unique in a session, made up by it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from worker.llm import Brief, Call, Item, Returned, Said
from worker.tts import Timing

__all__ = ["Brief", "Call", "Item", "Timing"]


# What a session begins with ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reminder:
    """What is said after ``after_s`` seconds of silence, counted from the reminder before."""

    after_s: float
    text: str
    hangs_up: bool = False


@dataclass(frozen=True, slots=True)
class Opening:
    """What a session begins with.

    ``greeting`` is what the model says first, word for word; empty: it waits for the caller,
    unless its settings say otherwise. ``items`` is what was said before, in this call: a session
    that takes over goes on from there and does not greet; if the last of them is the caller's (or
    a tool's answer), it answers that.
    """

    brief: Brief
    greeting: str = ""
    greeting_interruptible: bool = True
    items: tuple[Item, ...] = ()
    reminders: tuple[Reminder, ...] = ()
    """What a service that minds silence itself is told; one that cannot leaves it to the call."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """``call_sid``, ``from``, ``to``, ``direction``."""

    @property
    def is_owed(self) -> bool:
        """Whether the last of what was said is to be answered: the caller's, or a tool's answer."""
        last = self.items[-1] if self.items else None
        return isinstance(last, Returned) or (isinstance(last, Said) and last.role == "user")


# What a session tells --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CallerStarted:
    """The caller makes a sound."""


@dataclass(frozen=True, slots=True)
class CallerStopped:
    """The sound has ended."""


@dataclass(frozen=True, slots=True)
class CallerTurn:
    """The caller's turn ``key`` is over, and the model answers it. Its words follow, or never."""

    key: str


@dataclass(frozen=True, slots=True)
class CallerSaid:
    """The words of turn ``key``; empty when none were understood. It opens one that is new."""

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class AgentWords:
    """All text of ``utterance`` so far; ``final`` if there will be no more."""

    utterance: str
    text: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class AgentTimed:
    """Further timings of ``utterance``, in the order of its text."""

    utterance: str
    timings: Sequence[Timing]


@dataclass(frozen=True, slots=True)
class AgentDone:
    """All audio of ``utterance`` has come."""

    utterance: str


@dataclass(frozen=True, slots=True)
class AgentCut:
    """The caller has interrupted: what was not heard yet of any utterance is not to be heard."""


@dataclass(frozen=True, slots=True)
class AgentCorrected:
    """``text`` is what the service counts as spoken of ``utterance``, which was cut."""

    utterance: str
    text: str


@dataclass(frozen=True, slots=True)
class ToolsWanted:
    """The model wants these called; each is to be answered by `SpeechSession.answered`."""

    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class LeftByModel:
    """The model has ended the conversation: the call ends once its last words were heard."""

    reason: str = ""


Event = (
    CallerStarted
    | CallerStopped
    | CallerTurn
    | CallerSaid
    | AgentWords
    | AgentTimed
    | AgentDone
    | AgentCut
    | AgentCorrected
    | ToolsWanted
    | LeftByModel
)


class SpeechListener(Protocol):
    """Who listens to a session; called on the call's event loop, in the order things happened."""

    def audio(self, utterance: str, audio: bytes) -> None:
        """μ-law 8 kHz mono of an utterance; the first piece begins it."""

    def happened(self, event: Event) -> None:
        """Anything else."""

    def known_as(self, conversation_id: str) -> None:
        """The service calls this conversation so (``callId``, ``conversation_id`` …)."""

    def failed(self, error: Exception) -> None:
        """The session cannot go on: it has given up. Said once, after it could connect once."""


class SpeechSession(Protocol):
    """One call's conversation with the model."""

    @property
    def batch_ms(self) -> int:
        """How much of the caller's audio it likes at a time, in ms (20 to 200)."""

    @property
    def minds_silence(self) -> bool:
        """Whether it acts on `Opening.reminders` itself."""

    @property
    def corrects(self) -> bool:
        """Whether an `AgentCorrected` will follow when an utterance was cut."""

    @property
    def stands_still(self) -> bool:
        """Whether it says nothing while a tool runs, whatever it is asked to say."""

    def post(self, audio: bytes) -> None:
        """Take the caller's audio, μ-law 8 kHz mono, in order; never blocks for the network.

        A service that wants audio in real time without gaps gets silence from the session
        where none is posted (before the stream is open, in a gap).
        """

    def cut(self, utterance: str, heard_ms: float) -> None:
        """Of ``utterance`` the caller has heard ``heard_ms`` and will hear no more.

        Said after an `AgentCut`, and when the call itself has stopped it (a key, a transfer): then
        the service is to stop it, too, if it can be told. No more audio of it arrives after this.
        """

    def say(self, text: str, *, interruptible: bool = True) -> None:
        """Have the model say ``text``: word for word where the service can be told to, else as
        near to it as the model will. What it says comes as an utterance."""

    def tell(self, text: str) -> None:
        """Tell the model something as if the caller had said it, and have it answered."""

    def answered(self, call_id: str, text: str, *, failed: bool, brief: Brief | None) -> None:
        """A tool that the model wanted came to ``text``; it is told once all of a step's are.

        ``brief`` is what holds from here on, if the tool has moved the conversation on.
        """

    def brief(self, brief: Brief) -> None:
        """The conversation has moved on, outside of any tool: this holds from here on."""

    async def aclose(self) -> None:
        """End the conversation at the service and release everything, in bounded time. May be
        called twice."""


class SpeechModel(Protocol):
    """A speech-to-speech provider and its settings."""

    def prepare(self) -> None:
        """Import and build what every call needs, once, in the template, before any fork.

        Must leave no thread, no event loop and no open socket behind. Raises `ProviderError` when
        no call could use it.
        """

    async def connect(self, opening: Opening, listener: SpeechListener) -> SpeechSession:
        """Begin a conversation; return when the service has taken it. Raises `ProviderError`.

        The model may greet at once: the call keeps the audio until there is a line.
        """

    def stand_in(self) -> "SpeechModel":
        """Return what a rehearsal uses instead."""
