"""What can be told of a call in text, in the order in which it happens: see `Happening`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Word:
    """A word was heard. It brings along the space before it."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """The model has a tool called. ``arguments`` as it wrote them, empty if that is no object."""

    id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolReturned:
    """A tool has returned ``outcome``, as the model reads it."""

    id: str
    outcome: str


@dataclass(frozen=True, slots=True)
class ToolJudged:
    """What the outcome that came last amounts to: ``ok``, ``invalid``, ``error`` …"""

    label: str


@dataclass(frozen=True, slots=True)
class Moved:
    """The conversation is in another stage."""

    stage: str


@dataclass(frozen=True, slots=True)
class HandedOver:
    """Another agent has taken over."""

    agent: str


@dataclass(frozen=True, slots=True)
class HungUp:
    """The agent has ended the call."""


@dataclass(frozen=True, slots=True)
class Transferred:
    """The agent has connected the caller with ``to``."""

    to: str


@dataclass(frozen=True, slots=True)
class DigitsSent:
    """The agent has pressed keys."""

    digits: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Something went wrong that did not end the call; ``detail`` may be a traceback."""

    sentence: str
    detail: str = ""


Happening = (
    Word
    | ToolCalled
    | ToolReturned
    | ToolJudged
    | Moved
    | HandedOver
    | HungUp
    | Transferred
    | DigitsSent
    | Problem
)
