"""The leads of one campaign that are in flight, and what is to be written down of them."""

import asyncio
from collections.abc import Iterator, Sequence

from gateway.campaigns.flight import Flight
from gateway.campaigns.ledger import Settlement
from gateway.campaigns.policy import Policy
from gateway.campaigns.scheduler import Lead
from gateway.campaigns.states import LeadMove
from gateway.campaigns.surroundings import Surroundings
from gateway.dialer.attempt import Attempt


class Flights:
    """At most as many as the campaign's concurrency. ``news`` is set whenever one changes."""

    def __init__(self, policy: Policy, around: Surroundings) -> None:
        self._policy, self._around, self._mono = policy, around, around.mono
        self._by_number: dict[int, Flight] = {}
        self._answered: list[Settlement] = []
        self.news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._by_number)

    def __contains__(self, number: int) -> bool:
        return number in self._by_number

    def __iter__(self) -> Iterator[Flight]:
        return iter(self._by_number.values())

    def take_off(self, lead: Lead, attempt_id: str, *, recovered: bool = False) -> Flight:
        """A lead is in flight, by this attempt."""
        flight = Flight(lead, attempt_id, self._policy, self._mono(), recovered)
        self._by_number[lead.number] = flight
        self._around.engaged[lead.phone] += 1
        self._around.ringing.add(attempt_id)
        return flight

    def land(self, flight: Flight) -> None:
        """A lead is in flight no more."""
        del self._by_number[flight.lead.number]
        self._around.ringing.discard(flight.attempt_id)
        engaged = self._around.engaged
        engaged[flight.lead.phone] -= 1
        if engaged[flight.lead.phone] <= 0:
            del engaged[flight.lead.phone]

    def clear(self) -> None:
        """Forget all; the database knows them."""
        for flight in list(self):
            self.land(flight)

    def heard(self, attempt: Attempt) -> None:
        """The dialer has news of an attempt."""
        flight = self._by_number.get(attempt.lead) if attempt.lead is not None else None
        if flight is None:
            return
        unserved = self._around.unserved(attempt.sid) if not attempt.is_open else None
        if flight.heard(attempt, self._mono(), unserved):
            answered = Settlement(
                number=flight.lead.number,
                attempt_id=flight.attempt_id,
                move=LeadMove.ANSWERED,
                attempts=flight.lead.attempts + 1,
                call_sid=flight.sid,
            )
            self._answered.append(answered)
            self._around.ringing.discard(flight.attempt_id)
        self.news.set()

    def overdue(self) -> list[Flight]:
        """Let time pass; return those whose calls we must end."""
        mono = self._mono()
        return [it for it in self if it.passed(mono)]

    def seconds(self, most: float) -> float:
        """Return how soon `overdue` should be asked again."""
        due = min((it.next_at for it in self), default=float("inf"))
        return max(0.0, min(most, due - self._mono()))

    def decided(self) -> tuple[Sequence[Flight], Sequence[Settlement]]:
        """Return those whose leads' future is decided, and news of others to be written down."""
        answered, self._answered = self._answered, []
        return [it for it in self if it.settled], answered

    def undecided(self, answered: Sequence[Settlement]) -> None:
        """What `decided` gave could not be written down: give it again."""
        self._answered = [*answered, *self._answered]
