"""Which recordings an agent's calls have: as its author asks for them, and as they are begun.

    consent said before the greeting ──heard to its end──> the gateway is asked ──> recorded
                                     └──not heard────────> nothing is recorded

The phrase cannot be interrupted. A speech-to-speech model says it as the beginning of its
greeting, and recording begins when that was heard. Recording itself is the gateway's.
"""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from worker.errors import CallOverError, RequestError

if TYPE_CHECKING:
    from worker.agent import Agent
    from worker.duplex import Duplex
    from worker.history import History
    from worker.speaker import Speaker
    from worker.transcript import Transcript
    from worker.utterance import Utterance
    from worker.voip import VoIP

BEGIN_SECONDS = 15.0
"""How long a speech-to-speech model has to begin its greeting."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What is kept of a call's sound, and what the caller is told before.

    ``own``: our own stereo file. ``carrier``, ``transcription``: the carrier's, which it charges
    for. Nothing is recorded before ``consent`` was heard; empty: it begins with the stream.
    """

    own: bool = True
    carrier: bool = False
    transcription: bool = False
    consent: str = "This call is recorded."


class Recorded(Protocol):
    """The conversation that is recorded."""

    agent: "Agent"
    call: "VoIP"
    speaker: "Speaker"
    transcript: "Transcript"
    duplex: "Duplex"

    @property
    def history(self) -> "History":
        """What was said."""

    @property
    def can_speak(self) -> bool:
        """Whether there is a voice."""

    async def say(self, text: str | AsyncIterable[str], interruptible: bool) -> str:
        """Speak."""


def fault(agent: "type[Agent]") -> str:
    """Say what keeps an agent from being recorded as it wants, with the fix; empty if nothing."""
    if agent.recording is None or not agent.recording.consent:
        return ""
    voices = (agent.tts, agent.speech, *(stage.tts for stage in agent.stages.values()))
    if any(voice is not None for voice in voices):
        return ""
    return (
        f"{agent.__name__}.recording has a consent phrase, and nobody can say it: "
        f"set {agent.__name__}.tts, or consent=''"
    )


def said_first(agent: "Agent", greeting: str) -> tuple[str, bool]:
    """Return what a speech-to-speech model greets with, and whether it may be interrupted."""
    consent = agent.recording.consent if agent.recording is not None else ""
    if not consent:
        return greeting, agent.greeting_interruptible
    return f"{consent} {greeting}".strip(), False


class Consent:
    """Says on one call that it is recorded, and then has it recorded."""

    def __init__(self, it: Recorded) -> None:
        self._it = it
        self._utterance: Utterance | None = None

    async def get_ready(self) -> None:
        """Have the recording begin with the stream; or have the gateway listen from there on.

        What is sent before the phrase was heard may be heard after it.
        """
        wanted = self._it.agent.recording
        if wanted is not None and wanted.own:
            await self._begin(lambda: self._it.call.record(on=not wanted.consent))

    def prepare(self) -> None:
        """Have the phrase made, before anything else that is to be heard."""
        it, wanted = self._it, self._it.agent.recording
        if wanted is None or not wanted.consent or self._utterance is not None:
            return
        self._utterance = it.speaker.begin(interruptible=False)
        it.transcript.follow(it.history.agent(wanted.consent), self._utterance)
        self._utterance.feed(wanted.consent)
        self._utterance.finish()

    async def record(self) -> None:
        """Begin what is wanted once it may be. Raises `ProviderError` when the voice fails."""
        it, wanted = self._it, self._it.agent.recording
        if wanted is None:
            return
        if wanted.consent and not await self._was_heard(wanted.consent):
            if not it.call.over:
                why = "nobody has told the caller; an agent needs a voice, or consent=''"
                it.call.log("the call is not recorded", "error", why=why)
            return
        asked: list[tuple[bool, Callable[[], Awaitable[None]]]] = [
            (wanted.own and bool(wanted.consent), it.call.record),
            (wanted.carrier, it.call.start_recording),
            (wanted.transcription, it.call.start_transcription),
        ]
        await asyncio.gather(*(self._begin(begin) for is_wanted, begin in asked if is_wanted))

    async def _begin(self, begin: Callable[[], Awaitable[None]]) -> None:
        """Begin one of them; that it cannot be had is the operator's trouble, not the caller's."""
        try:
            await begin()
        except CallOverError:
            return
        except RequestError as error:
            self._it.call.log("not recorded as wanted", "error", why=str(error))

    async def _was_heard(self, consent: str) -> bool:
        it = self._it
        if self._utterance is not None:
            return not (await self._utterance.heard()).interrupted
        greeting = await self._greeting() if it.duplex.active else None
        if greeting is not None and not (await greeting.heard()).interrupted:
            return True
        if it.call.over or not it.can_speak:
            return False
        return bool((await it.say(consent, interruptible=False)).strip())

    async def _greeting(self) -> "Utterance | None":
        """Return what is said first, whoever comes to say it; ``None`` if nothing is."""
        duplex, call = self._it.duplex, self._it.call
        while duplex.active and not call.over:
            if duplex.voice.latest is not None:
                return duplex.voice.latest
            begun = duplex.voice.expect(interruptible=False)
            await asyncio.wait([begun], timeout=BEGIN_SECONDS)
            if not begun.done():
                begun.cancel()
                return None
            if not begun.cancelled():
                return begun.result()
        return self._utterance
