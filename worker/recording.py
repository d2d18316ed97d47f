"""Which recordings an agent's calls have: as its author asks for them, and as they are begun.

    consent said before the greeting ──heard to its end──> the gateway is asked ──> recorded
                                     └──not heard────────> nothing is recorded

The phrase cannot be interrupted. A speech-to-speech model says it as the beginning of its
greeting, and recording begins when that was heard; where the carrier joins the caller straight to a
service, the carrier says it before. Recording itself is the gateway's.
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


_UNTOLD = "nobody has told the caller; an agent needs a voice, or consent=''"
_UNTOLD_DIRECT = "nobody has told the caller; the agent that answers must have the phrase"


class Consent:
    """Says on one call that it is recorded, and then has it recorded.

    The agent of the moment decides, from when it has the call. What another one has begun goes on;
    the caller is told nothing twice.
    """

    def __init__(self, it: Recorded) -> None:
        self._it = it
        self._utterance: Utterance | None = None
        self._words = ""
        """What it says."""
        self._told: set[str] = set()
        """Phrases that were heard to their end."""
        self._turn = asyncio.Lock()

    async def get_ready(self) -> None:
        """Have the recording begin with the stream; or have the gateway listen from there on.

        What is sent before the phrase was heard may be heard after it.
        """
        wanted = self._it.agent.recording
        if wanted is not None and wanted.own and not self._it.call.is_direct:
            await self._begin(lambda: self._it.call.record(on=not wanted.consent))

    def prepare(self) -> None:
        """Have the phrase made, before anything else that is to be heard."""
        words = self._wanted_words
        if words == self._words:
            return
        if self._utterance is not None:
            self._it.speaker.drop(self._utterance)
            self._utterance, self._words = None, ""
        if words:
            self._say(words)

    @property
    def _wanted_words(self) -> str:
        wanted = self._it.agent.recording
        return wanted.consent if wanted is not None else ""

    def _say(self, words: str) -> None:
        it, self._words = self._it, words
        self._utterance = it.speaker.begin(interruptible=False)
        it.transcript.follow(it.history.agent(words), self._utterance)
        self._utterance.feed(words)
        self._utterance.finish()

    # Another agent ---------------------------------------------------------------------------

    def announce(self) -> None:
        """Another agent has the call: its phrase is the next that is said, if it is a new one."""
        words, it = self._wanted_words, self._it
        is_being_said = self._utterance is not None and not self._utterance.ended.done()
        if not words or words in self._told or (is_being_said and words == self._words):
            return
        self._utterance, self._words = None, ""
        if it.can_speak and not it.duplex.active:
            self._say(words)

    async def listen(self) -> None:
        """Have the gateway listen while another agent's phrase is said, unless it records."""
        words = self._wanted_words
        if words and words not in self._told and "own" not in self._it.call.recorded:
            await self.get_ready()

    async def record(self, *, greets: bool = True) -> None:
        """Begin what is wanted once it may be; ``greets``: with what is said first on the call.

        Raises `ProviderError` when the voice fails.
        """
        async with self._turn:
            it, wanted = self._it, self._it.agent.recording
            if wanted is None:
                return
            words = wanted.consent
            if words and words not in self._told:
                if not await self._was_heard(words, greets):
                    if not it.call.over:
                        why = _UNTOLD_DIRECT if it.call.is_direct else _UNTOLD
                        it.call.log("the call is not recorded", "error", why=why)
                    return
                self._told.add(words)
                if it.agent.recording != wanted:
                    return  # another agent has the call: it begins what it wants
            await self._begin_all(wanted, own=bool(words) or not greets)

    async def told(self) -> None:
        """The carrier tells the caller, who is then joined to a service: it records after that.

        Nothing more can be said so that one knows that it was heard: a phrase that another agent
        has, later, keeps what it wants from being begun.
        """
        wanted = self._it.agent.recording
        if wanted is not None:
            self._told.add(wanted.consent)
            await self._begin_all(wanted, own=False)

    async def _begin_all(self, wanted: Recording, own: bool) -> None:
        call, going = self._it.call, self._it.call.recorded
        asked: list[tuple[bool, Callable[[], Awaitable[None]]]] = [
            (wanted.own and own and not call.is_direct, call.record),
            (wanted.carrier and "carrier" not in going, call.start_recording),
            (wanted.transcription and "transcription" not in going, call.start_transcription),
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

    async def _was_heard(self, consent: str, greets: bool) -> bool:
        it = self._it
        if self._utterance is not None:
            return not (await self._utterance.heard()).interrupted
        if it.call.is_direct:
            return False
        greeting = await self._greeting() if greets and it.duplex.active else None
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
