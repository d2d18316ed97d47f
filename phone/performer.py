"""Carrying out the verbs that only take time: Say, Play, Pause, Dial and Gather.

What a ``<Gather>`` hears it is told: keys, and words as a recogniser would have them. Nothing is
spoken and nobody is called: what a verb holds is in the report and its time passes on
the clock, as much faster as the settings say. Being cancelled is the caller's hang-up.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any
from urllib.parse import urljoin

import httpx2

from phone.callbacks import Callbacks
from phone.clock import Clock
from phone.dialling import FAILED_DIAL, place
from phone.document import DialResult, Digits, Result
from phone.events import Noticed, VerbBegun, VerbDone
from phone.journal import Journal
from phone.playing import file_seconds, say_seconds, times, tone_seconds
from phone.problem import Problem
from phone.settings import PhoneSettings
from phone.verbs import Dial, Gather, Pause, Play, Say

Timed = Say | Play | Pause | Dial | Gather


class Performer:
    """Does the timed verbs of one call."""

    def __init__(
        self,
        http: httpx2.AsyncClient,
        callbacks: Callbacks,
        clock: Clock,
        journal: Journal,
        settings: PhoneSettings,
    ) -> None:
        self._http, self._callbacks, self._clock = http, callbacks, clock
        self._journal, self._settings = journal, settings
        self.keys: asyncio.Queue[str] | None = None
        """Where pressed keys go while a ``<Gather>`` runs."""
        self.words: asyncio.Queue[str] | None = None
        """Where what is said goes, if it listens to that."""

    async def perform(self, verb: Timed, document_url: str) -> Result:
        """Carry out ``verb`` and note it; relative URLs in it refer to ``document_url``."""
        if isinstance(verb, Gather):
            self.keys = asyncio.Queue()
            self.words = asyncio.Queue() if "speech" in verb.takes else None
        name, journal = type(verb).__name__, self._journal
        journal.note(VerbBegun(at_ms=journal.now_ms(), verb=name, detail=_detail(verb)))
        try:
            result = await self._do(verb, document_url)
        finally:
            self.keys = self.words = None
        journal.note(VerbDone(at_ms=journal.now_ms(), verb=name, outcome=_outcome(result)))
        return result

    async def _do(self, verb: Timed, document_url: str) -> Result:
        match verb:
            case Say():
                await self._pass(say_seconds(verb))
            case Pause():
                await self._pass(verb.length)
            case Play():
                seconds = tone_seconds(verb.digits)
                if not verb.digits:
                    seconds = await self._file_seconds(urljoin(document_url, verb.url))
                await self._pass(seconds * times(verb.loop))
            case Dial():
                return await self._dial(verb)
            case Gather():
                return await self._gather(verb, document_url)
        return None

    async def _pass(self, seconds: float) -> None:
        await self._clock.sleep(seconds / self._settings.verb_speed)

    async def _file_seconds(self, url: str) -> float:
        try:
            response = await self._http.get(url, timeout=15, follow_redirects=True)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            self._notice(11200, f"<Play> of {url}: {error}")
            return 0
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not response.is_success:
            self._notice(11200, f"<Play> of {url}: HTTP status {response.status_code}")
            return 0
        if not kind.startswith("audio/"):
            self._notice(13420, f"<Play> of {url}: Content-Type {kind!r} is no audio")
            return 0
        return file_seconds(kind, response.content)

    def _notice(self, code: int, text: str) -> None:
        self._journal.note(Noticed(at_ms=self._journal.now_ms(), problem=Problem(code, text)))

    async def _dial(self, dial: Dial) -> DialResult:
        call = place(dial, [self._settings.callee(number.number) for number in dial.numbers])
        if call is None:
            return DialResult(FAILED_DIAL)
        for event in ("initiated", "ringing"):
            await self._callbacks.child(call, event)
        await self._pass(call.ring_s)
        if call.answered:
            await self._callbacks.child(call, "answered")
            await self._pass(call.talk_s)
        await self._callbacks.child(call, "completed")
        return DialResult(call.action_parameters)

    async def _gather(self, gather: Gather, document_url: str) -> Digits:
        if self.words is None:
            return Digits(await self._gather_keys(gather, document_url))
        assert self.keys is not None, "perform() has made the queue"
        keys = asyncio.ensure_future(self._gather_keys(gather, document_url))
        words = asyncio.ensure_future(self.words.get())
        try:
            # Whichever is first; keys win if both are there.
            await asyncio.wait({keys, words}, return_when=asyncio.FIRST_COMPLETED)
            if keys.done() and (keys.result() or not words.done()):
                return Digits(keys.result())
            return Digits("", words.result())
        finally:
            keys.cancel()
            words.cancel()
            await asyncio.gather(keys, words, return_exceptions=True)

    async def _gather_keys(self, gather: Gather, document_url: str) -> str:
        keys, digits = self.keys, ""
        assert keys is not None, "perform() has made the queue"
        if "dtmf" not in gather.takes:
            keys = asyncio.Queue()  # where nothing ever comes
        key = await _key_before(keys, self._prompts(gather, document_url))
        if key is None:
            key = await _key_before(keys, self._pass(gather.timeout))
        while key is not None and key != gather.finish_on_key:
            digits += key
            if len(digits) == gather.num_digits:
                break
            key = await _key_before(keys, self._pass(gather.timeout))
        return digits

    async def _prompts(self, gather: Gather, document_url: str) -> None:
        for prompt in gather.prompts:
            await self._do(prompt, document_url)


def _detail(verb: Timed) -> str:
    match verb:
        case Say():
            return verb.text
        case Play():
            return verb.digits or verb.url
        case Pause():
            return f"{verb.length} s"
        case Dial():
            return ", ".join(number.number for number in verb.numbers)
        case Gather():
            return " ".join(prompt.text for prompt in verb.prompts if isinstance(prompt, Say))


def _outcome(result: Result) -> str:
    match result:
        case DialResult():
            return result.parameters["DialCallStatus"]
        case Digits():
            return result.digits or result.speech
    return ""


async def _key_before(keys: asyncio.Queue[str], pause: Coroutine[Any, Any, None]) -> str | None:
    """Return the key pressed before ``pause`` is over, ``None`` if there is none."""
    key, over = asyncio.ensure_future(keys.get()), asyncio.ensure_future(pause)
    try:
        await asyncio.wait({key, over}, return_when=asyncio.FIRST_COMPLETED)
        return key.result() if key.done() else None
    finally:
        key.cancel()
        over.cancel()
        await asyncio.gather(key, over, return_exceptions=True)
