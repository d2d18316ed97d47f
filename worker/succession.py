"""Which of several providers serves now, and who takes over when it fails. Knows no wire.

    providers  Cartesia ──lost──> ElevenLabs ──lost──> Espeak ──lost──> none: the call is told
                  ^                                                │
                  └── once a minute has passed since it failed ────┘

A provider that failed stays left alone while another has not. One that no call could use (no key)
is found when a release is loaded: it is left out, with a note, and not tried by any call.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Generic, Protocol, TypeVar

from shared.log import get_logger
from worker.backoff import in_haste
from worker.errors import ProviderError, ProviderLostError, ProviderRefusedError

AGAIN_SECONDS = 60.0
"""How long a provider that failed is left alone, when all others have failed, too."""

TURN_SECONDS = 3.0
"""How long a provider may take to open a session while another one is left to be tried."""

LAST_SECONDS = 10.0
"""How long the last one may take."""

CLOSE_SECONDS = 2.0
"""How long a session may take to close; then it is left alone."""

_log = get_logger(__name__)
_left_out: list[tuple[object, ProviderRefusedError]] = []
"""Providers that no call can use; forks inherit it. They are settings and cannot all be hashed."""


class Troubled(Protocol):
    """Who is told when a provider fails."""

    def __call__(self, provider: str, sentence: str, fallback: str | None) -> None:
        """``provider`` failed as ``sentence`` says; ``fallback`` takes over, if there is one."""


class Preparable(Protocol):
    """What every kind of provider can do."""

    def prepare(self) -> None:
        """Build what every call needs. Raises `ProviderError`."""


class Closable(Protocol):
    """What every kind of session can do."""

    async def aclose(self) -> None:
        """Release everything."""


ProviderT = TypeVar("ProviderT", bound=Preparable)
SessionT = TypeVar("SessionT")


def name_of(provider: object) -> str:
    """Return what an operator knows it by: the name of its class."""
    return type(provider).__name__


def checked(providers: Sequence[ProviderT]) -> tuple[ProviderT, ...]:
    """Return the providers as they were declared. Raises ``ValueError`` when there are none."""
    if not providers:
        raise ValueError("the list of providers is empty: name one at least")
    return tuple(providers)


def prepare(providers: Sequence[ProviderT]) -> None:
    """Prepare them all; leave out, with a note, those that refuse.

    Raises `ProviderRefusedError` when none is left. What else is wrong with one (a grammar with a
    fault) is the release's fault, and raised.
    """
    _left_out[:] = [row for row in _left_out if not any(row[0] is it for it in providers)]
    refusals: list[ProviderRefusedError] = []
    for provider in providers:
        try:
            provider.prepare()
        except ProviderRefusedError as error:
            refusals.append(error)
            _left_out.append((provider, error))
    if len(refusals) == len(providers):
        raise ProviderRefusedError(
            ", ".join(error.provider for error in refusals),
            "; ".join(error.sentence for error in refusals),
            refusals[0].status,
        )
    for refusal in refusals:
        _log.warning("provider_left_out", provider=refusal.provider, reason=refusal.sentence)


def usable(providers: Sequence[ProviderT]) -> tuple[ProviderT, ...]:
    """Return those that were not left out; all, where that would be none."""
    left = tuple(it for it in providers if not any(it is row[0] for row in _left_out))
    return left or tuple(providers)


class Succession(Generic[ProviderT]):
    """The providers of one kind in one call.

    ``behind`` is who takes over when none of them is left, if there is somebody of another kind.
    """

    def __init__(
        self,
        providers: Sequence[ProviderT],
        on_trouble: Troubled | None,
        again_s: float = AGAIN_SECONDS,
        behind: str | None = None,
    ) -> None:
        self._providers, self._behind = usable(providers), behind
        self._on_trouble, self._again_s = on_trouble, again_s
        self._loop = asyncio.get_running_loop()
        self._failed_at: dict[int, float] = {}
        """By place in the order; a provider may be declared twice."""
        self._error: ProviderError = ProviderLostError("fallback", "no provider was tried")

    def next(self, *, but: Collection[int] = ()) -> int | None:
        """Return the place of the provider that is to be tried, ``None`` when none is left."""
        places = [place for place in range(len(self._providers)) if place not in but]
        latest = self._loop.time() - self._again_s
        fresh = [place for place in places if place not in self._failed_at]
        again = [place for place in places if self._failed_at.get(place, latest + 1) <= latest]
        return next(iter(fresh or again), None)

    def has_heir(self, place: int) -> bool:
        """Tell whether a provider that has not failed is left besides the one at ``place``."""
        return any(it != place and it not in self._failed_at for it in range(len(self._providers)))

    def lost(self, place: int, error: Exception) -> None:
        """The provider at ``place`` failed: leave it alone, and tell of it, once."""
        if place in self._failed_at:
            return
        provider = name_of(self._providers[place])
        self._error = _provider_error(provider, error)
        self._failed_at[place] = self._loop.time()
        if self._on_trouble is not None:
            heir = self.next()
            fallback = name_of(self._providers[heir]) if heir is not None else self._behind
            self._on_trouble(provider, self._error.sentence, fallback)

    async def take(
        self, opening: Callable[[ProviderT], Awaitable[SessionT]], *, but: Collection[int] = ()
    ) -> tuple[int, SessionT]:
        """Open a session of the next provider that can be had; return its place and the session.

        Those at the places ``but`` are left alone. Each has `TURN_SECONDS`, the last one
        `LAST_SECONDS`. Raises what the last one failed with.
        """
        tried = set(but)
        while (place := self.next(but=tried)) is not None:
            tried.add(place)
            self._failed_at.pop(place, None)
            is_last = self.next(but=tried) is None and self._behind is None
            seconds = LAST_SECONDS if is_last else TURN_SECONDS
            try:
                with in_haste(not is_last):
                    async with asyncio.timeout(seconds):
                        return place, await opening(self._providers[place])
            except TimeoutError:
                self.lost(place, self._late(place, seconds))
            except Exception as error:
                self.lost(place, error)
        raise self._error

    def _late(self, place: int, seconds: float) -> ProviderError:
        sentence = f"did not open within {seconds:g} s"
        return ProviderLostError(name_of(self._providers[place]), sentence)


def _provider_error(provider: str, error: Exception) -> ProviderError:
    if isinstance(error, ProviderError):
        return error
    told = ProviderLostError(provider, f"failed: {type(error).__name__}")
    told.__cause__ = error
    return told


async def close(session: Closable) -> None:
    """Close a session in bounded time, whatever state it is in."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await session.aclose()
    except Exception as error:
        _log.warning("session_not_closed", session=name_of(session), error=type(error).__name__)
