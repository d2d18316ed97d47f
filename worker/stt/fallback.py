"""Several recognisers, declared in order: when one fails, the next one hears the turn anew.

    posted   ▁▁▁▇▇▇▇▁▁▁▁▇▇▇▇▇▇▇▇▇▇▇▇▁▁▁▁
    first       ├──┤    ├─────X               lost in the middle of a turn
    second              ├─────────────────┤   is told the turn so far, then goes on
    kept     ────────┘  └ since the end of the last turn, `KEPT_MS` at most

Where a turn has become longer than what is kept, the words that the first one had understood are
put before those of the second, which partly are the same.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from shared.audio import FRAME_MS, bytes_of_ms, ms_of_bytes
from worker import succession
from worker.errors import ProviderError
from worker.stt import (
    STT,
    Batched,
    EagerEnd,
    EndOfTurn,
    Hearing,
    Partial,
    SpeechStarted,
    SpeechStopped,
    STTListener,
    STTSession,
)
from worker.succession import Succession, Troubled
from worker.turns.policy import bare

KEPT_MS = 5000
"""How much audio of a turn the next recogniser can be told."""

_LAG_MS = 1500
"""How long after its beginning a turn may be known of."""


@dataclass(frozen=True, slots=True)
class FallbackSTT:
    """Hears with the first of ``providers`` that can be had; ``on_trouble`` hears of losses."""

    providers: Sequence[STT]
    on_trouble: Troubled | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        succession.checked(self.providers)

    def prepare(self) -> None:
        """Prepare all; those that refuse are left out. Raises `ProviderError` if none is left."""
        succession.prepare(self.providers)

    async def connect(self, listener: STTListener) -> STTSession:
        """Open a session with the first that can be had. Raises `ProviderError`."""
        hearing = _Hearing(Succession(self.providers, self.on_trouble), listener)
        await hearing.start()
        return hearing

    def stand_in(self) -> STT:
        """Return what stands in for the first."""
        return self.providers[0].stand_in()


class _Ear:
    """One provider's session, and what it hears, told apart from what others do."""

    session: STTSession
    place: int
    offset_ms: float = 0.0
    """Where in all of the audio its own begins."""

    def __init__(self, owner: "_Hearing") -> None:
        self._owner = owner
        self._error: Exception | None = None

    async def open(self, provider: STT) -> "_Ear":
        """Connect; return itself. Raises what the provider raises."""
        self.session = await provider.connect(self)
        if self._error is not None:
            await succession.close(self.session)
            raise self._error
        return self

    def heard(self, event: Hearing) -> None:
        """Pass it on, while this is the ear."""
        if self._owner.ear is not self:
            return
        if isinstance(event, SpeechStopped | EndOfTurn) and event.at_ms is not None:
            event = replace(event, at_ms=event.at_ms + self.offset_ms)
        self._owner.hear(event)

    def failed(self, error: Exception) -> None:
        """Have the next one go on."""
        self._error = error
        if self._owner.ear is self:
            self._owner.lose(error)


class _Turn:
    """What is known of the turn that is not over."""

    def __init__(self) -> None:
        self.began: int | None = None
        """How much audio there was when it was known of, in bytes."""
        self.words = ""
        self.before = ""
        """Words of a lost recogniser whose audio is gone."""
        self.is_sounding = False
        """The listener waits for the end of a sound."""

    def heard_anew(self, begin: int) -> None:
        """Another one hears it, from ``begin`` of the audio on: keep words that it cannot hear."""
        known = self.began if self.began is not None else begin
        is_cut = begin > max(0, known - bytes_of_ms(_LAG_MS))
        self.before = self.words if is_cut else ""

    def understood(self, text: str) -> str:
        """Return the words of the turn, when ``text`` is what is heard of it now."""
        self.words = joined(self.before, text)
        return self.words


class _Hearing:
    """A call's ears, whoever hears at the moment."""

    def __init__(self, order: Succession[STT], listener: STTListener) -> None:
        self._order, self._listener = order, listener
        self._loop = asyncio.get_running_loop()
        self.ear: _Ear | None = None
        self._turn = _Turn()
        self._kept = bytearray()
        self._posted = 0
        self._most = bytes_of_ms(KEPT_MS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @property
    def batch_ms(self) -> int:
        """How much the first one hands on at a time; those after it get as much."""
        session = self.ear.session if self.ear is not None else None
        return session.batch_ms if isinstance(session, Batched) else FRAME_MS

    async def start(self) -> None:
        """Open the first session that can be had. Raises `ProviderError`."""
        await self._take_over()

    async def _take_over(self) -> None:
        """Open the next session, and tell it what no turn has yet."""
        place, ear = await self._order.take(lambda provider: _Ear(self).open(provider))
        begin = self._posted - len(self._kept)
        ear.place, ear.offset_ms = place, ms_of_bytes(begin)
        self.ear = ear
        self._turn.heard_anew(begin)
        if self._kept:
            ear.session.post(bytes(self._kept))

    def post(self, audio: bytes) -> None:
        """Take audio; while nobody hears it is kept for the next one."""
        if self._is_closed:
            return
        self._kept += audio
        self._posted += len(audio)
        if len(self._kept) > self._most:
            del self._kept[: len(self._kept) - self._most]
        if self.ear is not None:
            self.ear.session.post(audio)

    def end_turn(self) -> None:
        """Ask for the end of the turn; whoever hears next is told nothing of it."""
        self._forget(self._posted)
        if self.ear is not None:
            self.ear.session.end_turn()

    def _forget(self, until: int) -> None:
        """A turn ended at ``until`` of the audio."""
        self._turn = _Turn()
        begin = self._posted - len(self._kept)
        if until > begin:
            del self._kept[: until - begin]

    # What is heard -------------------------------------------------------------------------

    def hear(self, event: Hearing) -> None:
        """The one that hears now has heard something."""
        turn = self._turn
        if not isinstance(event, EndOfTurn) and turn.began is None:
            turn.began = self._posted
        match event:
            case SpeechStarted(lasting):
                turn.is_sounding = turn.is_sounding or lasting
            case SpeechStopped():
                turn.is_sounding = False
            case Partial(text) | EagerEnd(text):
                event = replace(event, text=turn.understood(text))
            case EndOfTurn(text, at_ms):
                event = replace(event, text=turn.understood(text))
                self._forget(self._posted if at_ms is None else bytes_of_ms(at_ms))
        self._listener.heard(event)

    def lose(self, error: Exception) -> None:
        """The one that hears now is lost: find another one."""
        ear, self.ear = self.ear, None
        if ear is None or self._is_closed:
            return
        self._order.lost(ear.place, error)
        if self._turn.is_sounding and not self._turn.words:
            self._turn.is_sounding = False
            self._listener.heard(SpeechStopped())
        task = self._loop.create_task(self._replace(ear))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _replace(self, ear: _Ear) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(succession.close(ear.session))
            try:
                await self._take_over()
            except ProviderError as error:
                self._listener.failed(error)

    async def aclose(self) -> None:
        """Stop hearing and close whatever is open."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=succession.CLOSE_SECONDS)
        ear, self.ear = self.ear, None
        if ear is not None:
            await succession.close(ear.session)


def joined(before: str, text: str) -> str:
    """Put ``text`` behind ``before``, once where one goes on in the other.

    The first word of ``text`` may be half a word, cut off with the audio before it.
    """
    first, second = before.split(), text.split()
    known, heard = list(map(bare, first)), list(map(bare, second))
    for at in range(len(known)):
        for skip in (0, 1):
            size = min(len(known) - at, len(heard) - skip)
            if size > skip and known[at : at + size] == heard[skip : skip + size]:
                return " ".join([*first, *second[skip + size :]])
    return " ".join([*first, *second])
