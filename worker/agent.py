"""What an operator writes: a class with ears, a voice and behaviour.

    class Receptionist(Agent):
        stt = PocketSphinx(grammar="grammars/receptionist.jsgf")
        tts = Espeak(voice="en-us")
        greeting = "Bella Vista, how can I help?"

        async def inference(self, message: Message[str]) -> None:
            await self.say("You said: " + message.data)

A new instance serves each call, in a process of its own. Hooks may load the processor, block or
raise: only this call notices.
"""

from typing import Any, ClassVar, Protocol

from worker.message import Message
from worker.stt import STT
from worker.tts import TTS
from worker.voip import VoIP


class Voice(Protocol):
    """How an agent's words reach the caller; the session lends it to the agent."""

    async def say(self, text: str, interruptible: bool) -> str:
        """Speak ``text``; return what of it was heard."""


class Agent:
    """One call's behaviour. Every hook may be left out.

    ``state`` is kept across a crash of the call's process, so it holds what msgpack can: maps,
    lists, text, numbers, bytes.
    """

    stt: ClassVar[STT | None] = None
    """Hears the caller. Without one the agent gets audio only (`on_audio`)."""

    tts: ClassVar[TTS | None] = None
    """Speaks for the agent. Without one `say` raises ``RuntimeError``."""

    greeting: ClassVar[str | None] = None
    """Synthesised while the phone still rings and spoken as soon as the stream is open."""

    network_ms: ClassVar[float] = 100.0
    """How long the phone network delays what the carrier plays, in ms (100-300 in practice): what
    counts as heard when the caller interrupts."""

    call: VoIP
    """The line to the caller. Set before any hook runs."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self._voice: Voice | None = None

    def attach(self, call: VoIP, voice: Voice) -> None:
        """Give the agent its line and its voice; the session does this before any hook."""
        self.call, self._voice = call, voice

    async def say(self, text: str, *, interruptible: bool = True) -> str:
        """Speak ``text`` and return what the caller heard of it.

        Returns when it was played to its end, or when the caller interrupted it; with
        ``interruptible=False`` the caller cannot.
        """
        if self._voice is None:
            raise RuntimeError("say() before the call has begun: use a hook such as on_start()")
        return await self._voice.say(text, interruptible)

    async def on_ringing(self) -> None:
        """The call was accepted; its stream is not open yet."""

    async def on_start(self) -> None:
        """The stream is open and the greeting is on its way. Also after a reconnection."""

    def on_audio(self, audio: bytes) -> None:
        """The caller's audio as it came: μ-law 8 kHz mono, usually 160 bytes (20 ms)."""

    async def on_dtmf(self, digit: str) -> None:
        """The caller pressed a key: ``0-9 * #`` or ``A-D``."""

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

        Utterances come one after the other: the next waits until this returns.
        """

    async def on_ended(self) -> None:
        """The call is over; the line is gone. There are a few seconds left."""
