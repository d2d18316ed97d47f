"""What gateway and call process say to each other: one msgpack array a frame.

``[kind, field, …]``; the kinds are below, events (gateway to call) and commands (call to gateway)
in one table each. Audio is the common case and has a path of its own (`audio_frame`,
`audio_of`): raw μ-law bytes, no base64, no dictionary, no object.

Every frame that is not audio is checked against its type before anybody sees it, since it may
come from a process that runs an agent's code. Nothing is ever unpickled.

The first frame each way is `Hello`; a release whose worker speaks another ``VERSION`` is refused
when it is deployed, not in the middle of a call.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

import msgpack
import msgspec

from shared.audio import FRAME_BYTES, FRAME_MS

VERSION = 5
"""Raised whenever a frame changes its meaning or its fields."""

MAX_BATCH_MS = 200
"""The longest batch of the caller's audio that a call may ask for, in ms."""

MAX_FRAME = 1 << 20
"""Bytes of the largest frame either side accepts: about two minutes of audio."""

AUDIO = 1
_AUDIO_8 = bytes((0x92, AUDIO, 0xC4))
_AUDIO_16 = bytes((0x92, AUDIO, 0xC5))
_AUDIO_32 = bytes((0x92, AUDIO, 0xC6))
# 20 ms, as nearly all audio comes.
_HEAD_20_MS = _AUDIO_8 + bytes((FRAME_BYTES,))
_FRAME_20_MS = len(_HEAD_20_MS) + FRAME_BYTES


class MalformedFrameError(Exception):
    """A frame that is not a message of this table."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(problem)

    def __str__(self) -> str:
        return f"malformed frame on the pipe: {self.problem}"


class _Frame(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    pass


# Both ways ---------------------------------------------------------------------------------


class Hello(_Frame, tag=0, frozen=True):
    """First frame of each side. ``version`` is the sender's `VERSION`."""

    version: int


# Events: gateway to call ---------------------------------------------------------------------


class VoiceAccount(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A company's account at the hosted voice. ``url`` is the base of its API, if not the usual.

    An empty ``key``: it has one that cannot be read, so the voice cannot be had.
    """

    key: str
    url: str = ""

    def __repr__(self) -> str:
        return f"VoiceAccount(url={self.url!r})"


class Metadata(_Frame, tag=10, frozen=True):
    """Sent once after `Hello`: which call this is. ``parameters`` are the webhook's own.

    ``tools_url`` is where a service that holds the call's media may call its tools, by name
    (``{tools_url}/{name}``, POST), empty for all other calls. It is a secret.

    Of a call that was placed: ``agent`` (``module:Class``) is to speak, if it is named; ``machine``
    is what it does about answering machines, if that is ordered; ``variables`` are the order's.

    A `FirstMessage` comes within ``first_message_s``; with 0 none comes.

    Of a ``company``'s call: ``variables`` are what the company says, and the order's before that;
    ``voice`` is its own account at the hosted voice, and ``chosen`` what it would have there
    (``model``, ``voice``, ``first_speaker``).
    """

    call_sid: str
    account_sid: str
    from_: str
    to: str
    direction: str
    release: str
    parameters: dict[str, str]
    tools_url: str = ""
    agent: str = ""
    machine: str = ""
    variables: dict[str, str] = {}
    first_message_s: float = 0.0
    company: int | None = None
    voice: VoiceAccount | None = None
    chosen: dict[str, str] = {}


class StreamStarted(_Frame, tag=11, frozen=True):
    """The carrier's media socket is open; ``parameters`` are those of the TwiML."""

    stream_sid: str
    parameters: dict[str, str]


class MarkPlayed(_Frame, tag=12, frozen=True):
    """The carrier echoed a mark: everything sent before it was played, or cleared."""

    name: str


class Dtmf(_Frame, tag=13, frozen=True):
    """The caller pressed a key: ``0-9 * #`` or ``A-D``."""

    digit: str


class TranscriptReceived(_Frame, tag=14, frozen=True):
    """The carrier's own transcription of one utterance; ``track`` is ``inbound|outbound``."""

    track: str
    text: str
    final: bool


class RecordingChanged(_Frame, tag=15, frozen=True):
    """The carrier's recording of the call changed its state; ``url`` once it is complete."""

    recording_sid: str
    status: str
    url: str | None = None


class AnsweredBy(_Frame, tag=16, frozen=True):
    """Answering machine detection has a verdict (``human``, ``machine_…``, ``fax``, …)."""

    verdict: str


class CallStatus(_Frame, tag=17, frozen=True):
    """The carrier reported the call's status."""

    status: str


class StreamStopped(_Frame, tag=18, frozen=True):
    """The media socket is gone; the call may live on and get another one."""

    reason: str


class CallEnded(_Frame, tag=19, frozen=True):
    """The call is over: finish within ``seconds`` and exit."""

    reason: str
    seconds: float


class Reply(_Frame, tag=20, frozen=True):
    """A request was carried out."""

    request: int


class Failure(_Frame, tag=21, frozen=True):
    """A request was not carried out. ``code`` is for programs, ``sentence`` for people."""

    request: int
    code: str
    sentence: str


class ToolCalled(_Frame, tag=22, frozen=True):
    """The service that holds the call's media calls a tool; answered by `ToolReturned`.

    ``arguments`` is JSON as it came: whether it is fit for the tool is found out by the tool.
    """

    request: int
    name: str
    arguments: str


WarmOutcome = Literal[
    "accepted", "declined", "no_answer", "busy", "machine", "failed", "caller_left"
]
"""How a warm transfer went. But for the first and the last the caller is back on the line."""


class WarmTransferred(_Frame, tag=23, frozen=True):
    """A warm transfer to ``to`` is over. ``request`` is 0 if somebody outside has ordered it.

    Sent when a caller whom nobody took is on the line again.
    """

    request: int
    to: str
    outcome: WarmOutcome


class FirstMessage(_Frame, tag=28, frozen=True):
    """What the operator's own service would have said first to this caller; empty: nothing."""

    text: str


class OperatorSays(_Frame, tag=29, frozen=True):
    """Somebody outside the call has the agent say ``text``, in its voice."""

    text: str
    interruptible: bool


Event = (
    Hello
    | Metadata
    | StreamStarted
    | MarkPlayed
    | Dtmf
    | TranscriptReceived
    | RecordingChanged
    | AnsweredBy
    | CallStatus
    | StreamStopped
    | CallEnded
    | Reply
    | Failure
    | ToolCalled
    | WarmTransferred
    | FirstMessage
    | OperatorSays
)

# Commands: call to gateway -------------------------------------------------------------------


class Running(_Frame, tag=30, frozen=True):
    """The call's loop runs agent code."""

    agent: str


class Hear(_Frame, tag=50, frozen=True):
    """From now on the caller's audio is wanted ``batch_ms`` at a time; at first it is 20 ms.

    An event comes behind all audio that was heard before it, a batch that is not full included.
    """

    batch_ms: Annotated[int, msgspec.Meta(ge=FRAME_MS, le=MAX_BATCH_MS)]


class Mark(_Frame, tag=31, frozen=True):
    """Ask for an echo when everything played so far has been heard."""

    name: str


class Clear(_Frame, tag=32, frozen=True):
    """Drop what the carrier has buffered and not played."""


class HangUp(_Frame, tag=33, frozen=True):
    """End the call. Answered when the carrier has been told."""

    request: int


class Transfer(_Frame, tag=34, frozen=True):
    """Connect the caller with ``to``: a named destination, or a number in E.164."""

    request: int
    to: str


class TransferWarm(_Frame, tag=59, frozen=True):
    """Connect the caller with ``to``, if they take the call once they know what it is about.

    They are told ``summary``, in ``language`` (BCP 47), after at most ``ring_seconds`` of ringing;
    0: as long as the operator lets phones ring. Answered by `WarmTransferred`, or by `Failure` when
    it cannot even be tried.
    """

    request: int
    to: str
    summary: str
    ring_seconds: int = 0
    language: str = "en-US"


class SendDigits(_Frame, tag=35, frozen=True):
    """Press keys towards the other side (``0-9 A-D * # w W``), then come back."""

    request: int
    digits: str


class Record(_Frame, tag=57, frozen=True):
    """Begin our own recording of the call, or go on after a pause; with ``on`` false: pause.

    ``ahead_ms`` is what the carrier has still to play of what was sent before the first of these.
    """

    request: int
    on: bool = True
    ahead_ms: float = 0.0


class StartRecording(_Frame, tag=36, frozen=True):
    """Start the carrier's own recording, both sides on a channel each."""

    request: int


class StopRecording(_Frame, tag=37, frozen=True):
    """Stop the carrier's recording when one runs."""

    request: int


class DeleteRecording(_Frame, tag=38, frozen=True):
    """Delete the last recording at the carrier."""

    request: int


class StartTranscription(_Frame, tag=39, frozen=True):
    """Start the carrier's real-time transcription of both tracks."""

    request: int


class StopTranscription(_Frame, tag=40, frozen=True):
    """Stop the carrier's transcription."""

    request: int


class Emit(_Frame, tag=58, frozen=True):
    """Tell the operator's webhooks of an event of the agent's own. Answered when it is durable.

    ``data`` is a JSON object.
    """

    request: int
    name: str
    data: bytes


class Checkpoint(_Frame, tag=41, frozen=True):
    """The agent's state so far, msgpack of a map: what a resumed call would begin with."""

    state: bytes


class Said(_Frame, tag=42, frozen=True):
    """A line of the transcript, as heard. ``at_ms`` counts from the first stream's start.

    ``reply_ms`` is, for the agent, the time from the caller's final words being known to the
    agent's first audio on the line: the server's own share of the reply.
    """

    role: Literal["caller", "agent"]
    text: str
    at_ms: float
    reply_ms: float | None = None
    interrupted: bool = False


class Speaking(_Frame, tag=47, frozen=True):
    """The agent's first audio of ``text`` goes out. What of it is heard comes in `Said`."""

    text: str


class TurnTimed(_Frame, tag=48, frozen=True):
    """When turn ``number`` (from 0, the greeting's included) reached its stages.

    ``stages`` are names of `shared.turn_stages.Stage` and ms on the call's one monotonic clock,
    counted from the first stream's start; what was done while the phone rang is negative. It holds
    no words. One sent again for the same turn adds to the first and overrides it.
    """

    number: int
    stages: dict[str, float]


class ProviderTrouble(_Frame, tag=49, frozen=True):
    """A speech or language provider was given up; ``fallback`` is who took over, if anybody."""

    provider: str
    sentence: str
    fallback: str | None = None


class KnownAs(_Frame, tag=51, frozen=True):
    """The service that holds the conversation calls it so (``callId``, ``conversation_id`` …)."""

    conversation_id: str


class Join(_Frame, tag=52, frozen=True):
    """The carrier is to connect the call's media with ``url``, and not with the gateway.

    ``url`` (``wss://``) opens somebody's microphone and is a secret. ``name`` is the stream's for
    the carrier. With ``stays`` the process lives as long as the call, else it leaves soon. ``say``
    is said to the caller before, by the carrier, in ``language`` (BCP 47; empty: its own).
    """

    url: str
    name: str
    stays: bool
    say: str = ""
    language: str = ""


class Relay(_Frame, tag=53, frozen=True):
    """The call's media is to come to the gateway after all: nothing else could take it."""


class ToolReturned(_Frame, tag=54, frozen=True):
    """What came of `ToolCalled`. ``text`` is for the model.

    ``kind`` is what else the answer does: ``new-stage`` has the JSON of the stage in ``body``,
    ``hang-up`` ends the call. ``reaction`` is how the model is to take it, empty: as it will.
    """

    request: int
    text: str
    failed: bool = False
    kind: Literal["", "new-stage", "hang-up"] = ""
    body: str = ""
    reaction: Literal["", "speaks", "listens", "speaks-once"] = ""


class ToolRan(_Frame, tag=55, frozen=True):
    """The agent has run a tool: for the record. ``outcome`` is a word, ``text`` for the model.

    ``at_ms`` counts from the first stream's start.
    """

    name: str
    arguments: str
    outcome: str
    text: str
    seconds: float
    at_ms: float


class Log(_Frame, tag=43, frozen=True):
    """A log line of the call process. ``fields`` are JSON-like."""

    level: str
    event: str
    fields: dict[str, Any]


class Metric(_Frame, tag=44, frozen=True):
    """A measurement of the call process, exported by the gateway."""

    name: str
    value: float


class Beat(_Frame, tag=45, frozen=True):
    """The call's loop turns; sent once a second."""


class Finished(_Frame, tag=46, frozen=True):
    """The agent is done; ``problem`` is empty, or a traceback's last line. Sent before exit."""

    problem: str


Command = (
    Hello
    | Running
    | Hear
    | Mark
    | Clear
    | HangUp
    | Transfer
    | TransferWarm
    | SendDigits
    | Record
    | StartRecording
    | StopRecording
    | DeleteRecording
    | StartTranscription
    | StopTranscription
    | Emit
    | Checkpoint
    | Said
    | Speaking
    | TurnTimed
    | ProviderTrouble
    | KnownAs
    | Join
    | Relay
    | ToolReturned
    | ToolRan
    | Log
    | Metric
    | Beat
    | Finished
)

Request = (
    HangUp
    | Transfer
    | TransferWarm
    | SendDigits
    | Record
    | StartRecording
    | StopRecording
    | DeleteRecording
    | StartTranscription
    | StopTranscription
    | Emit
)


def encode(message: Event | Command) -> bytes:
    """Return the frame of ``message``."""
    return bytes(msgpack.packb(msgspec.to_builtins(message, builtin_types=(bytes,))))


def _by_tag(table: Any) -> Mapping[object, type[_Frame]]:
    return {kind.__struct_config__.tag: kind for kind in get_args(table)}


_EVENTS, _COMMANDS = _by_tag(Event), _by_tag(Command)


def _decode(frame: bytes, kinds: Mapping[object, type[_Frame]]) -> Any:
    """Read a frame as one of ``kinds``.

    Not by msgspec's own msgpack, which takes maps with keys that are no text. And the kind is
    looked up here: msgspec remembers what it knows of a type, but of a union of types it finds it
    out anew each time, which takes 15 µs.
    """
    array = _unpack(frame)
    tag = array[0] if array else None
    kind = kinds.get(tag) if type(tag) is int else None
    if kind is None:
        raise MalformedFrameError("it is of no kind that is known here")
    try:
        return msgspec.convert(array, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise MalformedFrameError(str(error)) from error


def _unpack(frame: bytes) -> list[object]:
    try:
        array = msgpack.unpackb(frame, raw=False, strict_map_key=True)
    except (ValueError, msgpack.exceptions.UnpackException, RecursionError) as error:
        raise MalformedFrameError(f"not msgpack ({type(error).__name__})") from error
    if not isinstance(array, list):
        raise MalformedFrameError(f"a {type(array).__name__} where an array belongs")
    return array


def decode_event(frame: bytes) -> Event:
    """Read a frame that is not audio, as the call process does.

    Raises `MalformedFrameError` for anything that is no event.
    """
    event: Event = _decode(frame, _EVENTS)
    return event


def decode_command(frame: bytes) -> Command:
    """Read a frame that is not audio, as the gateway does.

    Raises `MalformedFrameError` for anything that is no command.
    """
    command: Command = _decode(frame, _COMMANDS)
    return command


def audio_frame(audio: bytes) -> bytes:
    """Return the frame that carries μ-law ``audio`` (either way)."""
    size = len(audio)
    if size == FRAME_BYTES:
        return _HEAD_20_MS + audio
    if size < 0x100:
        return _AUDIO_8 + size.to_bytes(1, "big") + audio
    if size < 0x10000:
        return _AUDIO_16 + size.to_bytes(2, "big") + audio
    return _AUDIO_32 + size.to_bytes(4, "big") + audio


def audio_of(frame: bytes) -> bytes | None:
    """Return the audio of an audio frame, ``None`` for any other frame.

    Raises `MalformedFrameError` when the frame says that it is audio and its length disagrees.
    """
    if len(frame) == _FRAME_20_MS and frame.startswith(_HEAD_20_MS):
        return frame[len(_HEAD_20_MS) :]
    head = frame[:3]
    if head == _AUDIO_8:
        start, size = 4, frame[3] if len(frame) > 3 else -1
    elif head == _AUDIO_16:
        start, size = 5, int.from_bytes(frame[3:5], "big")
    elif head == _AUDIO_32:
        start, size = 7, int.from_bytes(frame[3:7], "big")
    else:
        return None
    audio = frame[start:]
    if len(audio) != size:
        raise MalformedFrameError(f"audio of {len(audio)} bytes that claims {size}")
    return audio
