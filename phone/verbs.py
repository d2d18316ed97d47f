"""The TwiML verbs that the phone carries out, as values.

URLs are as written; who knows the document's own URL makes them absolute. Lengths are seconds.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Say:
    """Speak ``text``, ``loop`` times (0: until the caller hangs up)."""

    text: str
    loop: int = 1


@dataclass(frozen=True, slots=True)
class Play:
    """Play a file, or key tones, ``loop`` times (0: until the caller hangs up)."""

    url: str
    digits: str = ""
    loop: int = 1


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait."""

    length: int = 1


@dataclass(frozen=True, slots=True)
class Redirect:
    """Go on with another document; an empty ``url`` is the present one."""

    url: str
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Hangup:
    """End the call."""


@dataclass(frozen=True, slots=True)
class Reject:
    """Do not answer; ``reason`` is ``rejected`` or ``busy``."""

    reason: str = "rejected"


@dataclass(frozen=True, slots=True)
class Number:
    """A party to dial, with its own status callback."""

    number: str
    status_callback: str | None = None
    status_callback_method: str = "POST"
    status_callback_events: frozenset[str] = frozenset({"completed"})


@dataclass(frozen=True, slots=True)
class Conference:
    """A room, by its name. ``wait_url`` ``None`` is the carrier's own music, empty is silence."""

    name: str
    start_on_enter: bool = True
    end_on_exit: bool = False
    most: int = 250
    wait_url: str | None = None
    wait_method: str = "POST"
    status_callback: str | None = None
    status_callback_method: str = "POST"
    status_callback_events: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Dial:
    """Connect the caller with the first of ``numbers`` that answers, or with a room."""

    numbers: tuple[Number, ...]
    action: str | None = None
    method: str = "POST"
    timeout: int = 30
    answer_on_bridge: bool = False
    conference: Conference | None = None


@dataclass(frozen=True, slots=True)
class Gather:
    """Collect keys, or words, after the ``prompts``; ``num_digits`` 0: any number of them.

    ``takes`` holds ``dtmf`` and ``speech``.
    """

    prompts: tuple[Say | Play | Pause, ...] = ()
    action: str | None = None
    method: str = "POST"
    timeout: int = 5
    num_digits: int = 0
    finish_on_key: str = "#"
    action_on_empty_result: bool = False
    takes: frozenset[str] = frozenset({"dtmf"})


@dataclass(frozen=True, slots=True)
class Stream:
    """The noun of a two-way media stream."""

    url: str
    name: str | None = None
    track: str = "inbound_track"
    status_callback: str | None = None
    status_callback_method: str = "POST"
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Connect:
    """Hold the document until the stream ends."""

    stream: Stream
    action: str | None = None
    method: str = "POST"


Verb = Say | Play | Pause | Redirect | Hangup | Reject | Dial | Gather | Connect
