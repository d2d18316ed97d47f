"""The seat of a call's speech-to-speech model: who sits there, who comes next, what waits for them.

    awaited ──connect──> taken ──lost──> empty ──the next one──> taken
                           │               └──nobody is left──> the cascade, or the end
                           └──leave──> left: others hear, think and speak

What the caller says and what the model is to be told while nobody sits there is kept. It knows
sessions and openings, and nothing of turns, tools or audio that comes back.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from worker import succession
from worker.errors import ProviderError
from worker.kept_audio import KeptAudio
from worker.speech import Opening, SpeechListener, SpeechModel, SpeechSession
from worker.speech.ear import Ear
from worker.succession import Succession

CASCADE = "cascade"
"""How the operator is told of who takes over from the last model."""

MOST_TOLD = 16
"""What waits to be told to the next model; the oldest goes."""


class Seated(Protocol):
    """The call that the model talks on."""

    @property
    def has_cascade(self) -> bool:
        """Whether the agent can go on without a speech-to-speech model."""

    def opening(self) -> Opening:
        """Return what a session begins with now."""

    def trouble(self, provider: str, sentence: str, fallback: str | None) -> None:
        """Tell the operator that a provider was lost."""


class Relief(Protocol):
    """Who serves when no model can be had."""

    async def without_model(self, error: ProviderError, *, owed: bool) -> None:
        """Take over. Raises ``error`` when the agent cannot go on without a model.

        ``owed``: the caller waits for an answer, or for the rest of one.
        """


class Seat:
    """Each session begins with what ``opening`` returns; what waits to be told is in that already.

    ``taken`` is told of it before anything that it tells reaches ``listener``.
    """

    def __init__(
        self,
        it: Seated,
        listener: SpeechListener,
        opening: Callable[[], Opening],
        taken: Callable[[Opening, SpeechSession], None],
    ) -> None:
        self._it, self._listener = it, listener
        self._opening, self._taken = opening, taken
        self.session: SpeechSession | None = None
        self.active = False
        """The model hears, thinks and speaks, or the next one is on its way; else others do."""
        self.awaited = False
        """The call's first model is on its way, and what the caller says is kept for it."""
        self._among: Succession[SpeechModel] | None = None
        self._place = 0
        self._ear: Ear | None = None
        self._kept = KeptAudio()
        self._told: deque[str] = deque(maxlen=MOST_TOLD)
        self._changes = asyncio.Lock()
        self._changed = asyncio.Event()
        self._departures = 0
        self._is_over = False
        self._closing: set[asyncio.Task[None]] = set()

    # Who sits there --------------------------------------------------------------------------

    async def connect(self, models: Sequence[SpeechModel]) -> None:
        """Let the first of ``models`` sit that can be had; whoever did stays until then.

        Raises `ProviderError` if none can.
        """
        behind = CASCADE if self._it.has_cascade else None
        async with self._changes:
            await self._fill(Succession(models, self._troubled, behind=behind))

    def _troubled(self, provider: str, sentence: str, fallback: str | None) -> None:
        """Tell of a loss; where nobody is left the error ends the call, and is told with that."""
        if fallback is not None:
            self._it.trouble(provider, sentence, fallback)

    async def _fill(self, among: Succession[SpeechModel]) -> None:
        made: list[tuple[Ear, Opening]] = []

        async def opening(model: SpeechModel) -> SpeechSession:
            made.append((Ear(), self._opening()))
            self._told.clear()
            ear, begins_with = made[-1]
            return await model.connect(begins_with, ear)

        departures = self._departures
        place, session = await among.take(opening)
        ear, begins_with = made[-1]
        if self._is_over or departures != self._departures:
            self._retire(ear, session)
            return
        self._empty()
        self._among, self._place, self._ear, self.session = among, place, ear, session
        self.active, self.awaited = True, False
        self._taken(begins_with, session)
        for audio in self._kept.take():
            session.post(audio)
        while self._told:
            session.tell(self._told.popleft())
        self._note()
        ear.hear(self._listener)

    def lost(self, error: Exception) -> bool:
        """The session cannot go on; false if nobody sits there."""
        if self.session is None or self._among is None:
            return False
        self._empty()
        self._among.lost(self._place, error)
        return True

    async def refill(self) -> bool:
        """Let the next one sit; false if somebody does by now, or nobody is to.

        Raises `ProviderError` when none is left.
        """
        async with self._changes:
            among = self._among
            if self.session is not None or not self.active or self._is_over or among is None:
                return False
            await self._fill(among)
        return self.session is not None

    def vacate(self) -> None:
        """Let whoever sits there go, who has done nothing wrong: `refill` brings them back."""
        self._empty()

    def leave(self) -> list[bytes]:
        """Others hear, think and speak from now on. Returns what nobody has heard yet."""
        self._empty()
        self.active = self.awaited = False
        self._departures += 1
        self._told.clear()
        self._note()
        return self._kept.take()

    async def filled(self) -> SpeechSession | None:
        """Return who sits there, or is on the way; ``None`` if nobody is to."""
        while self.session is None and self.active and not self._is_over:
            await self._changed.wait()
        return self.session

    def _note(self) -> None:
        """Whoever waits for a change looks again."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _empty(self) -> None:
        session, self.session = self.session, None
        ear, self._ear = self._ear, None
        if session is not None and ear is not None:
            self._retire(ear, session)

    def _retire(self, ear: Ear, session: SpeechSession) -> None:
        ear.retire()
        task = asyncio.get_running_loop().create_task(succession.close(session))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    # What is for whoever sits there ----------------------------------------------------------

    def post(self, audio: bytes) -> None:
        """Take the caller's audio."""
        if self.session is not None:
            self.session.post(audio)
        else:
            self._kept.add(audio)

    def tell(self, text: str) -> None:
        """Tell the model something as if the caller had said it; the next one, if none is there."""
        if self.session is not None:
            self.session.tell(text)
        elif self.active:
            self._told.append(text)

    # The end ---------------------------------------------------------------------------------

    def close(self) -> None:
        """The line is gone: the service is told at once."""
        self._is_over = True
        self._empty()
        self._note()

    async def aclose(self) -> None:
        """Release everything, in bounded time."""
        self.close()
        await asyncio.gather(*self._closing)
