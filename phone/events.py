"""What happens in a simulated call: one small value an event.

Times are milliseconds on the call's own clock, which starts with `Phone.dial`. Events of speech
and of frames are timed by the stream's 20 ms beat, everything else as it happens.

| event | when |
|---|---|
| `WebhookAnswered`, `WebhookFailed` | a document was fetched, or could not be |
| `VerbBegun`, `VerbDone` | a TwiML verb is carried out |
| `Met`, `Parted` | a conference has begun for the caller; they are out of it |
| `StreamStarted`, `StreamEnded` | ``start`` was sent; the socket is gone |
| `FirstAgentAudio` | the first ``media`` of the server came in |
| `AgentBegan`, `AgentSpoke` | the caller hears the agent; the agent fell silent |
| `CallerBegan`, `CallerSpoke` | a phrase's first and last frame were sent |
| `KeyPressed` | ``dtmf`` was sent |
| `MarkReceived`, `MarkEchoed`, `Cleared` | playout |
| `CallbackSent` | a status callback was answered, or failed |
| `Noticed` | Twilio's debugger would have an entry |
| `Ended` | the call is over |
"""

from enum import Enum

import msgspec

from phone.problem import Problem


class StreamEnding(Enum):
    """How a media socket came to its end."""

    CALLER_HUNG_UP = "caller hung up"
    SERVER_CLOSED = "server closed"
    LOST = "connection lost"
    FAILED = "failed"
    REDIRECTED = "other instructions by REST"


class Ending(Enum):
    """Who ended the call."""

    CALLER = "caller hung up"
    DOCUMENT = "the document ended"
    REJECTED = "rejected"
    APPLICATION_ERROR = "application error"
    TIME_LIMIT = "time limit"
    CUT_OFF = "cut off by its owner"


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=True):
    """Something that happened ``at_ms``."""

    at_ms: float


class WebhookAnswered(Event, frozen=True):
    """A document arrived after ``took_ms`` and ``attempts`` requests."""

    url: str
    method: str
    status: int
    took_ms: float
    attempts: int


class WebhookFailed(Event, frozen=True):
    """No document could be had from ``url``."""

    url: str
    problem: Problem


class VerbBegun(Event, frozen=True):
    """A verb is being carried out; ``detail`` is its text, URL or number."""

    verb: str
    detail: str


class VerbDone(Event, frozen=True):
    """The verb has been carried out; ``outcome`` says with what result."""

    verb: str
    outcome: str


class Met(Event, frozen=True):
    """A conference has begun: the caller hears the others."""

    room: str


class Parted(Event, frozen=True):
    """The caller is out of a conference, whether or not it had begun."""

    room: str


class StreamStarted(Event, frozen=True):
    """``start`` has been sent on the call's ``number``-th stream."""

    stream_sid: str
    url: str
    parameters: dict[str, str]
    number: int


class StreamEnded(Event, frozen=True):
    """The socket is gone. ``code`` is the server's close code, ``unplayed_ms`` never heard."""

    stream_sid: str
    how: StreamEnding
    code: int | None
    unplayed_ms: float


class FirstAgentAudio(Event, frozen=True):
    """The first ``media`` message of a stream arrived."""

    stream_sid: str


class AgentBegan(Event, frozen=True):
    """The caller begins to hear the agent."""


class AgentSpoke(Event, frozen=True):
    """The agent was heard from ``from_ms`` until ``until_ms`` and has been silent since."""

    from_ms: float
    until_ms: float


class CallerBegan(Event, frozen=True):
    """The first frame of a phrase was sent."""

    label: str


class CallerSpoke(Event, frozen=True):
    """The last frame of a phrase was sent; its speech ended at ``until_ms``."""

    label: str
    from_ms: float
    until_ms: float


class KeyPressed(Event, frozen=True):
    """A key was pressed."""

    key: str


class MarkReceived(Event, frozen=True):
    """The server set a mark."""

    name: str


class MarkEchoed(Event, frozen=True):
    """A mark went back: its audio was played, or ``cleared``."""

    name: str
    cleared: bool


class Cleared(Event, frozen=True):
    """The server cleared the buffer, which still held ``dropped_ms``."""

    dropped_ms: float


class CallbackSent(Event, frozen=True):
    """A status callback for ``what``; ``status`` is the HTTP status, ``None`` when it failed."""

    url: str
    what: str
    status: int | None


class Noticed(Event, frozen=True):
    """Twilio's debugger would show this."""

    problem: Problem


class Ended(Event, frozen=True):
    """The call is over with its final status (``completed``, ``busy``, ``no-answer``)."""

    status: str
    how: Ending


AnyEvent = (
    WebhookAnswered
    | WebhookFailed
    | VerbBegun
    | VerbDone
    | StreamStarted
    | StreamEnded
    | FirstAgentAudio
    | AgentBegan
    | AgentSpoke
    | CallerBegan
    | CallerSpoke
    | KeyPressed
    | MarkReceived
    | MarkEchoed
    | Cleared
    | CallbackSent
    | Noticed
    | Ended
)
