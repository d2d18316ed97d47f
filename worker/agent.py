"""What an operator writes: a class with ears, a mind, a voice and tools.

    class Receptionist(Agent):
        stt = Deepgram(model="nova-3")
        llm = OpenAI(model="gpt-4.1-mini")
        tts = Cartesia(voice="...")
        instructions = "prompts/receptionist.md"
        greeting = "Bella Vista, how can I help?"

        @tool
        async def book_table(self, people: Annotated[int, Field(ge=1, le=12)], at: datetime) -> str:
            \"\"\"Book a table.\"\"\"

A new instance serves each call, in a process of its own. Hooks may load the processor, block or
raise: only this call notices. Without ``llm`` an agent answers by its own ``inference``.
"""

from collections.abc import AsyncIterable, Mapping, Sequence
from typing import Any, ClassVar, Literal
from uuid import UUID

from shared.messages import WarmOutcome
from worker.abilities import Conversation
from worker.history import History
from worker.instructions import Instructions
from worker.llm import LLM
from worker.message import Message
from worker.recording import Recording
from worker.speech import SpeechModel
from worker.stages import Stage
from worker.stt import STT
from worker.tools import Tool, Toolset
from worker.tts import TTS
from worker.turn import Turn
from worker.turns import Turns
from worker.voip import VoIP

MachinePolicy = Literal["go-on", "hang-up", "message"]
"""What is done when an answering machine answers a call that was placed."""


class Agent:
    """One call's behaviour. Every attribute and every hook may be left out.

    ``state`` is kept across a crash of the call's process, so it holds what msgpack can: maps,
    lists, text, numbers, bytes.
    """

    stt: ClassVar[STT | Sequence[STT] | None] = None
    """Hears the caller; several: the next one takes over when one fails. Without one the agent
    gets audio only (`on_audio`)."""

    llm: ClassVar[LLM | Sequence[LLM] | None] = None
    """Thinks. Several: as above."""

    tts: ClassVar[TTS | Sequence[TTS] | None] = None
    """Speaks. Several: as above, within the sentence being spoken. Without one `say` raises
    ``RuntimeError``."""

    speech: ClassVar[SpeechModel | Sequence[SpeechModel] | None] = None
    """Hears, thinks and speaks, in place of the three above (`Ultravox`, `OpenAIRealtime`, ...).
    Several: the next one takes over when one fails; behind the last, the three above if they are
    there. The model decides when a turn is over, so `inference` is not called."""

    instructions: Instructions = ""
    """What the model is told to be: a text or a file of the release, with template variables, or
    a method that returns the text. See `worker.instructions`."""

    variables: ClassVar[Mapping[str, Any]] = {}
    """Further names for the templates."""

    time_zone: ClassVar[str | None] = None
    """Of ``now`` in the templates (``Europe/Berlin``); UTC if it is not set."""

    greeting: ClassVar[str | None] = None
    """Synthesised while the phone still rings and spoken as soon as the stream is open. A
    template, too."""

    greeting_interruptible: ClassVar[bool] = True

    first_message: ClassVar[str | None] = None
    """What is said first when the operator's own service (``FIRST_MESSAGE_URL``) is not asked, or
    tells nothing in time. Set, its answer is waited for while the phone rings; templates have the
    outcome as ``{{ first_message }}``, and without a `greeting` it is the greeting."""

    recording: ClassVar[Recording | None] = None
    """Which recordings are made while it has a call, and what is said first: `Recording()`."""

    tools: ClassVar[Sequence[Tool | Toolset]] = ()
    """Tools besides the class's own ``@tool`` methods: `HangUp`, `Transfer`, `SearchKnowledge` …,
    or objects with ``@tool`` methods of their own."""

    stages: ClassVar[Mapping[str, Stage]] = {}
    """Parts of a conversation, by name; the first one is where it begins."""

    colleagues: ClassVar[Sequence["type[Agent]"]] = ()
    """Whom this agent may hand a call over to: they are made ready with it."""

    turns: ClassVar[Turns] = Turns()
    """How it takes turns."""

    most_steps: ClassVar[int] = 6
    """How often in a turn the model may be asked again after its tools have answered."""

    sorry: ClassVar[str] = "Sorry, I had a problem. Could you say that again?"
    """Said when the model cannot be had, or answers nothing. When it cannot be had for the second
    time in a row, the call is given up."""

    pardon: ClassVar[str] = "Sorry, I did not catch that."
    """Said when a caller has interrupted, and no word of it was understood."""

    not_taken: ClassVar[str] = "Sorry, nobody can take your call right now. How can I help you?"
    """Said to a caller whom the operator has transferred, and who is back: nobody took the call."""

    machine: ClassVar[MachinePolicy] = "go-on"
    """What is done when an answering machine answers a call that this agent placed. With
    ``go-on`` nobody is paid to find that out."""

    voicemail: ClassVar[Instructions | None] = None
    """Said after the machine's beep with ``machine = "message"``; then the call is over. A
    template, like `instructions`."""

    hold_on: ClassVar[Sequence[str]] = (
        "One moment, please.",
        "I am still here, it takes a little longer.",
    )
    """Said, one after the other, to a caller who waits long for the model's first word: a slow
    one, or a server that must wake up first. None: nothing is said."""

    hold_after_s: ClassVar[float] = 4.0
    """How long the caller waits until the first of them is said."""

    hold_every_s: ClassVar[float] = 10.0
    """And until the next one, the last of them again and again."""

    network_ms: ClassVar[float] = 100.0
    """How long the phone network delays what the carrier plays, in ms (100-300 in practice): what
    counts as heard when the caller interrupts."""

    call: VoIP
    """The line to the caller. Set before any hook runs."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self._conversation: Conversation | None = None

    def attach(self, call: VoIP, conversation: Conversation) -> None:
        """Give the agent its line; the session does this before any hook."""
        self.call, self._conversation = call, conversation

    @property
    def conversation(self) -> Conversation:
        """What it can do in its call. Raises ``RuntimeError`` before the call has begun."""
        if self._conversation is None:
            raise RuntimeError("the call has not begun: use a hook such as on_start()")
        return self._conversation

    @property
    def history(self) -> History:
        """What was said so far, as it was heard."""
        return self.conversation.history

    @property
    def stage(self) -> str | None:
        """The stage of the conversation, ``None`` for an agent without stages."""
        return self.conversation.stage

    # Speaking ------------------------------------------------------------------------------

    async def say(self, text: str | AsyncIterable[str], *, interruptible: bool = True) -> str:
        """Speak ``text`` (or a stream of it, as it comes); return what the caller heard of it.

        Returns when it was played to its end, or when the caller interrupted it; with
        ``interruptible=False`` the caller cannot. A stream that is cut is closed.
        """
        return await self.conversation.say(text, interruptible)

    async def dispatch_message(self, message: Message[str], *, allow_interrupt: bool = True) -> str:
        """Speak a message; return what was heard of it (Dialog's name for `say`)."""
        return await self.say(message.data, interruptible=allow_interrupt)

    async def dispatch_stream(
        self, uuid: UUID, stream: AsyncIterable[str], *, allow_interrupt: bool = True
    ) -> str:
        """Speak a stream of text; return what was heard of it (Dialog's name for `say`).

        ``uuid`` is the caller's message that it answers.
        """
        del uuid
        return await self.say(stream, interruptible=allow_interrupt)

    # The conversation ------------------------------------------------------------------------

    def enter(self, stage: str) -> None:
        """Move to another stage: the model's next request has its instructions and tools.

        Raises ``KeyError`` for a stage that there is not.
        """
        self.conversation.enter(stage)

    async def hand_over(self, agent: "type[Agent]") -> None:
        """Let a `colleagues` class go on with the call: state and history are handed to it.

        What it has not of its own (ears, mind, voice) it has from the call. Raises `ProviderError`
        when one of its providers cannot be had; this agent goes on then.
        """
        await self.conversation.hand_over(agent)

    async def keys(self, timeout_s: float = 10.0) -> str:
        """Return the digits that the caller enters next, empty when none come in ``timeout_s``.

        They end with `Turns.keys_end`, or with a pause of `Turns.keys_timeout_s`.
        """
        return await self.conversation.keys(timeout_s)

    async def set_stt(self, stt: STT | Sequence[STT]) -> None:
        """Hear with another provider from now on. Raises `ProviderError`; nothing changes then."""
        await self.conversation.set_stt(stt)

    async def set_tts(self, tts: TTS | Sequence[TTS]) -> None:
        """Speak with another provider from the next utterance on; what is being made is cut.

        Raises `ProviderError`; nothing changes then.
        """
        await self.conversation.set_tts(tts)

    # Hooks ---------------------------------------------------------------------------------

    async def on_ringing(self) -> None:
        """The call was accepted; its stream is not open yet."""

    async def on_start(self) -> None:
        """The stream is open and the greeting is on its way. Also after a reconnection."""

    def on_audio(self, audio: bytes) -> None:
        """The caller's audio as it came: μ-law 8 kHz mono, usually 160 bytes (20 ms)."""

    async def on_dtmf(self, digit: str) -> None:
        """The caller pressed a key: ``0-9 * #`` or ``A-D``."""

    async def on_keys(self, keys: str) -> None:
        """The caller pressed keys that belong together, and nobody waited for them (`keys`).

        They take their turn: what was said or pressed before is answered before.
        An agent with a model is told of them as of a turn.
        """
        if self.llm is not None or self.speech is not None:
            await self.conversation.answer(f"(The caller pressed the keys {keys}.)")

    async def on_status(self, status: str) -> None:
        """The carrier reported the call's status, in its own words (``in-progress``, ...)."""

    async def on_answered_by(self, verdict: str) -> None:
        """Answering machine detection has a verdict (``human``, ``machine_end_beep``, ...)."""

    async def on_carrier_transcript(self, track: str, text: str, final: bool) -> None:
        """The carrier's own transcription heard something; ``track`` is ``inbound|outbound``."""

    async def on_carrier_recording(self, sid: str, status: str, url: str | None) -> None:
        """The carrier's recording changed its state; ``url`` once it is complete."""

    async def inference(self, message: Message[str]) -> None:
        """The caller has finished an utterance; ``message.data`` is empty if it was unclear.

        By default the model answers, if there is one: with the history, the instructions and the
        tools of the moment. Override it to do that yourself; utterances come one after the other,
        the next waits until this returns.
        """
        if self.llm is not None and message.data:
            await self.conversation.answer(message.data)

    async def on_turn(self, turn: Turn) -> None:
        """A turn is over: the caller's words and what was heard of the answer."""

    async def on_taken_over(self) -> None:
        """Another agent has handed this call over; its state and history are this agent's now."""

    async def on_warm_transfer(self, to: str, outcome: WarmOutcome) -> None:
        """A warm transfer that somebody outside had ordered is over (`VoIP.transfer_warm`).

        By default a caller whom nobody took is told so.
        """
        can_speak = self.tts is not None or self.speech is not None
        if outcome not in {"accepted", "caller_left"} and can_speak:
            await self.say(self.not_taken)

    async def on_ended(self) -> None:
        """The call is over; the line is gone. There are a few seconds left."""
