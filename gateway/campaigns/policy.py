"""What a campaign is to keep to, and what follows from how a call ended. No I/O.

A policy is what the API takes and the database keeps; wrong ones are refused when they are made.
"""

import math
from typing import Any

import msgspec

from gateway.campaigns.hours import Hours, HoursError
from gateway.campaigns.outcomes import Outcome
from gateway.campaigns.states import LeadMove
from gateway.carriers.placing import Machine

MOST_CONCURRENT = 1000
MOST_ATTEMPTS = 20

_DELAYS = {
    Outcome.BUSY: 300.0,
    Outcome.NO_ANSWER: 3600.0,
    Outcome.MACHINE: 4 * 3600.0,
    Outcome.FAILED: 1800.0,
}
"""Seconds until the next attempt; what is not here is never repeated."""


class PolicyError(ValueError):
    """A policy that cannot be kept to. ``sentence`` says which part, and what it may be."""

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence
        super().__init__(sentence)

    def __str__(self) -> str:
        return self.sentence


def _within(name: str, value: float, least: float, most: float) -> None:
    if not math.isfinite(value) or not least <= value <= most:
        raise PolicyError(f"{name} is {value:g}; it may be {least:g} to {most:g}")


class Delays(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """Seconds from an attempt that did not reach anybody to the next one, by its outcome."""

    busy: float = _DELAYS[Outcome.BUSY]
    no_answer: float = _DELAYS[Outcome.NO_ANSWER]
    machine: float = _DELAYS[Outcome.MACHINE]
    failed: float = _DELAYS[Outcome.FAILED]

    def __post_init__(self) -> None:
        """Check what a type cannot."""
        for each in msgspec.structs.astuple(self):
            _within("delays", each, 0, 30 * 86400)

    def after(self, outcome: Outcome) -> float | None:
        """Return the seconds to wait, ``None`` where it is not tried again."""
        by = {
            Outcome.BUSY: self.busy,
            Outcome.NO_ANSWER: self.no_answer,
            Outcome.MACHINE: self.machine,
            Outcome.FAILED: self.failed,
        }
        return by.get(outcome)


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a campaign calls. Raises `PolicyError` when made.

    ``concurrency`` 1 is sequential: nobody is called before the call before has ended. ``agent``
    (``module:Class``) is who talks; ``None`` leaves it to routes.toml. ``per_second`` is below
    what the account allows, or ``None``. ``max_seconds`` is a call's longest conversation, after
    which we end it. ``breaker_calls`` 0 turns the circuit breaker off. ``variables`` reach every
    call; a lead's own go first.
    """

    agent: str | None = None
    caller_id: str | None = None
    concurrency: int = 1
    per_second: float | None = None
    hours: Hours | None = None
    attempts: int = 1
    delays: Delays = Delays()
    ring_seconds: int = 30
    max_seconds: int = 600
    machine: Machine | None = None
    """What is done about answering machines; ``None``: what the agent's class says."""
    breaker_calls: int = 20
    breaker_share: float = 0.5
    variables: dict[str, str] = {}

    def __post_init__(self) -> None:
        """Check what a type cannot."""
        _within("concurrency", self.concurrency, 1, MOST_CONCURRENT)
        _within("attempts", self.attempts, 1, MOST_ATTEMPTS)
        _within("ring_seconds", self.ring_seconds, 5, 600)
        _within("max_seconds", self.max_seconds, 5, 4 * 3600)
        _within("breaker_calls", self.breaker_calls, 0, 1000)
        _within("breaker_share", self.breaker_share, 0, 1)
        if self.per_second is not None:
            _within("per_second", self.per_second, 0.01, 100)

    def after(
        self, outcome: Outcome, attempts: int, machine: Machine | None = None
    ) -> "Consequence":
        """Return what follows when the ``attempts``-th attempt on a lead has this outcome.

        ``machine`` is what was done about answering machines, if it was the agent who said so.
        """
        if outcome is Outcome.ANSWERED:
            return Consequence(LeadMove.SUCCEED)
        spoken = (self.machine or machine) in {Machine.MESSAGE, Machine.GO_ON}
        if outcome is Outcome.MACHINE and spoken:
            return Consequence(LeadMove.SUCCEED)  # the mailbox has what we wanted to say
        delay = self.delays.after(outcome)
        if delay is None or attempts >= self.attempts:
            return Consequence(LeadMove.FAIL)
        return Consequence(LeadMove.RETRY, delay)


class Consequence(msgspec.Struct, frozen=True):
    """What becomes of a lead; ``delay`` in seconds when it is called again."""

    move: LeadMove
    delay: float = 0.0


def read_policy(data: Any) -> Policy:
    """Return a policy from JSON's builtins. Raises `PolicyError`."""
    try:
        return msgspec.convert(data, Policy)
    except msgspec.ValidationError as error:
        cause = error.__cause__
        known = isinstance(cause, PolicyError | HoursError)
        raise PolicyError(str(cause) if known else str(error)) from error
