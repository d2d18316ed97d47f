"""One call in progress, as a test or a script holds it: speak, press, listen, hang up.

All times are milliseconds on the call's clock, all audio is μ-law 8 kHz mono. Waiting ends with
`CallEndedError` when the call does.
"""

import asyncio
import contextlib
from typing import TypeVar

from phone.events import Event, VerbBegun
from phone.journal import CallEndedError, Journal
from phone.leg import Leg
from phone.microphone import KEYS, Microphone, Phrase, Press, check_keys
from phone.parameters import Identity
from phone.performer import Performer
from phone.report import Report
from phone.session import AudioListener, Handset
from phone.twiml import parse

__all__ = ["Call", "CallEndedError"]

E = TypeVar("E", bound=Event)

_TALKS_ON_MS = 1000


class Call:
    """Made by `Phone.dial`."""

    def __init__(
        self,
        identity: Identity,
        journal: Journal,
        handset: Handset,
        performer: Performer,
        leg: Leg,
    ) -> None:
        self._identity, self._journal, self._handset = identity, journal, handset
        self._performer, self._leg = performer, leg
        self._running = asyncio.create_task(leg.run(), name=f"call {identity.call_sid}")

    @property
    def sid(self) -> str:
        """The call's ``CallSid``."""
        return self._identity.call_sid

    @property
    def now_ms(self) -> float:
        """The call's time."""
        return self._journal.now_ms()

    @property
    def events(self) -> tuple[Event, ...]:
        """What has happened so far."""
        return tuple(self._journal.events)

    @property
    def heard(self) -> bytes:
        """What the caller has heard since the first stream began, silence included."""
        return self._handset.recording.agent

    @property
    def on_agent_audio(self) -> AudioListener | None:
        """Called with the audio of each ``media`` message as it arrives, before it is played."""
        return self._handset.on_agent_audio

    @on_agent_audio.setter
    def on_agent_audio(self, listener: AudioListener | None) -> None:
        self._handset.on_agent_audio = listener

    async def connected(self, stream: int = 1, timeout: float | None = None) -> None:
        """Return when ``start`` of the call's ``stream``-th stream has been sent."""
        await self._journal.until(
            lambda: self._handset.streams >= stream, f"stream {stream}", timeout
        )

    async def seen(self, kind: type[E], count: int = 1, timeout: float | None = None) -> E:
        """Return the ``count``-th event of a kind, waiting for it if need be."""
        await self._journal.until(
            lambda: len(self._journal.of(kind)) >= count, kind.__name__, timeout
        )
        return self._journal.of(kind)[count - 1]

    async def say(self, audio: bytes, label: str = "") -> None:
        """Speak ``audio`` after what is queued already; return when its last frame was sent.

        While no stream is open the phrase waits. ``label`` names it in the report.
        """
        sent = asyncio.Event()
        self._microphone.add(Phrase(audio, label, sent.set))
        await self._journal.until(sent.is_set, "a phrase to be sent", None)

    def say_nowait(self, audio: bytes, label: str = "") -> None:
        """Queue ``audio`` like `say`, without waiting."""
        self._microphone.add(Phrase(audio, label, lambda: None))

    async def press(self, keys: str) -> None:
        """Press ``keys`` (0-9, A-D, ``*``, ``#``; ``w`` and ``W`` wait 0.5 and 1 s).

        A ``<Gather>`` that is running gets them at once, else the stream in its turn. Returns
        when the last has been sent. Raises ``ValueError`` for other characters.
        """
        check_keys(keys)
        if self._performer.keys is not None:
            for key in keys:
                if key in KEYS:
                    self._performer.keys.put_nowait(key)
            return
        pressed = 0

        def count() -> None:
            nonlocal pressed
            pressed += 1

        for key in keys:
            self._microphone.add(Press(key, count))
        await self._journal.until(lambda: pressed == len(keys), "keys to be pressed", None)

    async def asked(self, count: int = 1, timeout: float | None = None) -> None:
        """Return when a ``<Gather>``, the call's ``count``-th, waits for an answer."""

        def gathers() -> bool:
            begun = [it for it in self._journal.of(VerbBegun) if it.verb == "Gather"]
            return len(begun) >= count and self._performer.keys is not None

        await self._journal.until(gathers, f"question {count}", timeout)

    def reply(self, text: str) -> None:
        """Say ``text`` to a ``<Gather>``, which understands it as it is.

        Raises ``RuntimeError`` when none listens.
        """
        if self._performer.words is None:
            raise RuntimeError("no <Gather input=speech> is running: await asked() before reply()")
        self._performer.words.put_nowait(text)

    def redirect(self, twiml: str | None = None, url: str | None = None) -> None:
        """Carry out other instructions from now on, as after a REST update of the call.

        Raises `TwimlError` when ``twiml`` is no document.
        """
        self._leg.redirect(url or "" if twiml is None else parse(twiml.encode()))

    async def heard_speech(
        self, timeout: float | None = None, since_ms: float | None = None
    ) -> None:
        """Return when the agent is heard after ``since_ms`` (now), if it is speaking at once."""
        since = self.now_ms if since_ms is None else since_ms
        ear = self._handset.ear
        await self._journal.until(
            lambda: ear.voiced_ms is not None and ear.voiced_ms > since, "agent's speech", timeout
        )

    async def heard_reply(self, timeout: float | None = None) -> None:
        """Return when the agent speaks in answer to the caller's last phrase or key.

        That is speech that began after it, or that goes on for a second after it: the
        last words of an agent that is being interrupted are no reply. Before the first phrase
        any speech counts, so this waits for a greeting too.
        """
        since = max(self._handset.spoke_until_ms, self._handset.pressed_ms)
        ear = self._handset.ear

        def replied() -> bool:
            if ear.voiced_ms is None:
                return False
            began = ear.last_began_ms
            return began >= since or ear.voiced_ms >= since + _TALKS_ON_MS

        await self._journal.until(replied, "the agent's reply", timeout)

    async def heard_silence(self, quiet_ms: float, timeout: float | None = None) -> None:
        """Return when the agent has not been heard for ``quiet_ms`` (while a stream is open).

        Before its first word silence counts from now. A phone that was held up, on a busy
        machine, does not take for silence what it missed.
        """
        handset = self._handset
        before = handset.silent_ms

        def is_quiet() -> bool:
            unheard = before if handset.ear.voiced_ms is None else 0.0
            return handset.silent_ms - unheard >= quiet_ms

        await self._journal.until(is_quiet, "agent's silence", timeout)

    async def wait(self, ms: float) -> None:
        """Let ``ms`` of the call pass."""
        with contextlib.suppress(TimeoutError):
            await self._journal.until(lambda: False, "time to pass", ms / 1000)

    async def hangup(self) -> None:
        """Hang up; return when the stream is closed and the call over. Harmless when it is."""
        self._leg.hang_up()
        await self._leg.over.wait()

    def drop(self) -> None:
        """Lose the media socket's network (no ``stop``, no close); the document goes on.

        Raises ``RuntimeError`` when no stream is open.
        """
        if not self._leg.drop():
            raise RuntimeError("no stream is open: await connected() before drop()")

    async def ended(self) -> Report:
        """Return the report when the call is over and its last callback was answered."""
        await asyncio.shield(self._running)
        return Report(
            call_sid=self.sid,
            from_=self._identity.from_,
            to=self._identity.to,
            events=self.events,
            caller_audio=self._handset.recording.caller,
            agent_audio=self._handset.recording.agent,
            media_sent=self._handset.media_sent,
            media_received=self._handset.media_received,
            messages_dropped=self._handset.messages_dropped,
        )

    async def abort(self) -> None:
        """Cut everything at once, without a word to the server."""
        self._running.cancel()
        await asyncio.wait({self._running})

    @property
    def _microphone(self) -> Microphone:
        return self._handset.microphone
