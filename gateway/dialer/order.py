"""What is asked of the dialer, and what comes of it."""

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from gateway.calls.answers import PlacedFor
from gateway.carriers.placing import Machine, NewCall
from gateway.dialer.attempt import Attempt

MOST_VARIABLES = 50
MOST_VARIABLE_LETTERS = 4000


def always() -> bool:
    """Say yes: nobody withdraws it."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A call that somebody wants placed.

    ``to`` is as people write it; empty: the company's default. ``from_`` is a number of the
    account; without one the company's or the operator's. ``agent`` is ``module:Class`` or the
    class's name; without one the agent speaks whose number calls. ``machine`` overrides its own
    policy. ``key`` makes the order one: another with it, of the same company, places no call.
    ``transfer_of`` is the call that this one is to take over: no agent speaks then. ``wanted`` is
    asked at the last moment: if it is not any more, nobody is called.
    """

    to: str = ""
    from_: str | None = None
    agent: str | None = None
    company: int | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    machine: Machine | None = None
    ring_seconds: int | None = None
    most_seconds: int | None = None
    key: str | None = None
    campaign: str | None = None
    lead: int | None = None
    transfer_of: str = ""
    wanted: Callable[[], bool] = always


def dial_id(company: int | None, key: str) -> str:
    """Return the id of the attempt that an order with this key makes."""
    return "k" + hashlib.sha256(f"{company or 0}:{key}".encode()).hexdigest()[:32]


def new_id(order: Order) -> str:
    """Return the id of an order's attempt: a secret to nobody, and the same for the same key."""
    if order.key is None:
        return "d" + secrets.token_hex(16)
    return dial_id(order.company, order.key)


@dataclass(frozen=True, slots=True)
class Dialled:
    """A call that exists at the carrier. ``repeated``: it did before this order."""

    id: str
    call_sid: str
    to: str
    from_: str
    repeated: bool = False

    @classmethod
    def of(cls, it: Attempt, *, repeated: bool = False) -> "Dialled":
        """Return the call of an attempt that has one."""
        return cls(it.id, it.sid, it.to, it.from_, repeated)


class Progress(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """How an attempt fares, for people and programs. Times in Unix seconds."""

    id: str
    state: str
    status: str
    sid: str
    to: str
    from_: str
    answered_by: str
    error: str
    created: float
    ended: float | None

    @classmethod
    def of(cls, it: Attempt) -> "Progress":
        """Return how ``it`` fares now."""
        return cls(
            it.id,
            it.state.value,
            it.status,
            it.sid,
            it.to,
            it.from_,
            it.answered_by,
            it.error,
            it.created,
            it.ended,
        )


def new_call(it: Attempt, origin: str) -> NewCall:
    """Return what is asked of the carrier; ``origin`` is the gateway's public URL."""
    return NewCall(
        marker=it.id,
        to=it.to,
        from_=it.from_,
        origin=origin.rstrip("/"),
        ring_seconds=it.plan.ring_seconds,
        most_seconds=it.plan.most_seconds,
        machine=it.plan.machine,
    )


def placed_for(it: Attempt) -> PlacedFor:
    """Return what the call of an attempt is for."""
    plan = it.plan
    return PlacedFor(
        it.id,
        plan.agent,
        plan.machine.value,
        plan.variables,
        plan.most_seconds,
        it.company,
        it.campaign,
        it.lead,
        plan.transfer_of,
    )
