"""Something that has happened, and those who want to know: values, no I/O.

The names of the gateway's own events:

    call.started         a call was accepted
    call.ended           its agent is done: transcript, outcome, times, tools
    call.transcript      what a service has told of it later than that
    call.transferred     the human to whom it was passed on has hung up, or did not answer
    campaign.…           what a campaign tells

An agent's own events have a name of one word (``booking``), and never a dot in it.
"""

import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

MOST_BODY = 512 << 10
"""Bytes of an event's body: beyond it the receiver, and not we, is in trouble."""

MOST_DATA = 64 << 10
"""Bytes of what an agent's own event says."""

_AGENTS_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,47}")


class EventError(ValueError):
    """This cannot be an event. ``sentence`` says why."""

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence
        super().__init__(sentence)

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True, slots=True)
class Event:
    """Something that has happened. ``at`` is in Unix seconds.

    ``key`` makes it the same event when it is told again (``call.ended`` of one call); without it
    each is another. ``company`` is whose call it is about. ``again``: a gateway before this one may
    have told it.
    """

    name: str
    call: Mapping[str, Any]
    data: Mapping[str, Any]
    company: int | None = None
    key: str | None = None
    at: float = field(default_factory=time.time)
    again: bool = False

    @property
    def call_sid(self) -> str | None:
        """The call that it is about."""
        sid = self.call.get("sid")
        return str(sid) if sid else None


class Shape(StrEnum):
    """How a body looks."""

    CALLFARM = "callfarm"
    VOXFLOW = "voxflow"
    """What VoxFlow's n8n flows expect: ``{"route": "2", "number": …, "data": …}``."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Who wants to know. Neither address nor keys are for the log.

    ``owner`` is the company whose address it is, ``None`` the operator. Of ``secrets`` every one
    signs, so that a receiver may change from one to the other. Without ``events``: all.
    """

    url: str = field(repr=False)
    owner: int | None
    secrets: tuple[str, ...] = field(default=(), repr=False)
    events: frozenset[str] = frozenset()
    shape: Shape = Shape.CALLFARM

    def wants(self, name: str) -> bool:
        """Tell whether events of this name go there; ``call.*`` names all of a kind."""
        if not self.events or name in self.events or "*" in self.events:
            return True
        return name.partition(".")[0] + ".*" in self.events


def check_own(name: str, data: bytes) -> None:
    """Raise `EventError` for an event of an agent's own that cannot be."""
    if not _AGENTS_NAME.fullmatch(name):
        raise EventError(
            "an event's name is letters, digits, - and _, begins with a letter, 48 at most"
        )
    if len(data) > MOST_DATA:
        raise EventError(f"an event's data is at most {MOST_DATA} bytes of JSON")


def event_id(event: Event, token: str) -> str:
    """Return the event's id, the same for the same key; ``token`` is random."""
    text = f"{event.name}\n{event.key}" if event.key is not None else token
    return "ev_" + hashlib.sha256(text.encode()).hexdigest()[:32]


def delivery_id(event: str, endpoint: Endpoint) -> str:
    """Return the id of one event's delivery to one address: its ``Idempotency-Key``."""
    text = f"{event}\n{endpoint.owner}\n{endpoint.url}"
    return "dl_" + hashlib.sha256(text.encode()).hexdigest()[:32]


def body_of(event: Event, identity: str, shape: Shape) -> bytes | None:
    """Return what is sent; ``None``: in this shape there is nothing to say of it.

    Of one that would be too long, what is longest is left out, and ``cut`` says so.
    """
    if shape is Shape.VOXFLOW:
        return _voxflow(event)
    whole: dict[str, Any] = {
        "id": identity,
        "event": event.name,
        "at": event.at,
        "call": dict(event.call),
        "data": dict(event.data),
    }
    body = _json(whole)
    if len(body) > MOST_BODY:
        whole["data"] = _cut(whole["data"])
        whole["cut"] = True
        body = _json(whole)
    if len(body) > MOST_BODY:
        body = _json({**whole, "data": {}})
    return body


_CUT_FIRST = ("turns", "state", "tools", "troubles", "variables", "transcript")


def _cut(data: dict[str, Any]) -> dict[str, Any]:
    for name in _CUT_FIRST:
        if name == "transcript" and isinstance(data.get(name), list):
            data = {**data, name: _last_lines(data[name], MOST_BODY // 2)}
        else:
            data = {key: value for key, value in data.items() if key != name}
        if len(_json(data)) < MOST_BODY - (16 << 10):
            break
    return data


def _last_lines(lines: list[Any], most: int) -> list[Any]:
    kept: list[Any] = []
    for line in reversed(lines):
        most -= len(_json(line))
        if most < 0:
            break
        kept.append(line)
    return kept[::-1]


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value, enc_hook=repr)


def _voxflow(event: Event) -> bytes | None:
    """``data`` is a text there: the transcript, or JSON within JSON."""
    number = str(event.call.get("number", "") or "Unknown")
    if event.data.get("transcript_follows"):
        return None  # there, a call's transcript is told once
    if event.name in ("call.ended", "call.transcript"):
        lines = event.data.get("transcript", [])
        text = "\n".join(f"{str(line['role']).title()}: {line['text']}" for line in lines)
        return _json({"route": "2", "number": number, "data": text[-MOST_BODY // 4 :]})
    if "." in event.name:
        return None
    text = _json(dict(event.data)).decode()
    return _json({"route": "3", "number": number, "event": event.name, "data": text})
