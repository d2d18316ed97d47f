"""A caller in a real call, the real desk, and a dialer that writes down whom it was to call."""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

from gateway.calls.answers import Answer, Brief, Hold, IncomingCall, Meet, PlacedFor
from gateway.calls.state import CallState
from gateway.calls.stream import CallStream
from gateway.calls.warm_order import WarmOrder
from gateway.dialer.attempt import Attempt, AttemptState, CallPlan
from gateway.dialer.following import Following
from gateway.dialer.order import Dialled, Order, new_id
from gateway.transfers.desk import TransferDesk
from shared import messages
from tests.gateway.calls.actors import ACCOUNT, Leg, Stage, incoming
from tests.virtual_time import settled

HUMAN = "CA" + "9" * 32
NUMBER = "+15005550002"


@dataclass
class FakeDialer:
    """Who places calls; ``error`` is raised by whatever is asked."""

    orders: list[Order] = field(default_factory=list)
    hung_up: list[str] = field(default_factory=list)
    companies: dict[str, int] = field(default_factory=dict)
    refuses: Exception | None = None
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.following = cast("Following", SimpleNamespace(listeners=[]))

    async def check(self, order: Order) -> None:
        if self.refuses is not None:
            raise self.refuses

    async def company_of(self, account_sid: str) -> int | None:
        return self.companies.get(account_sid)

    async def dial(self, order: Order) -> Dialled:
        self.orders.append(order)
        if self.error is not None:
            raise self.error
        return Dialled(new_id(order), HUMAN, order.to, "+1")

    def hang_up(self, dial_id: str) -> None:
        self.hung_up.append(dial_id)


class Scene:
    """A caller on a stream, about to be transferred."""

    def __init__(self, account: str | None = ACCOUNT) -> None:
        self.stage = Stage()
        self.dialer = FakeDialer()
        self.desk = TransferDesk(self.dialer, account)
        self.call = self.stage.call
        self.call.holding.transfers = self.desk
        self.human_leg = Leg()
        self.stream, self.socket = self.stage.open_stream()

    @property
    def marker(self) -> str:
        """The id of the attempt to call the human."""
        return new_id(self.dialer.orders[-1])

    async def ordered(self, **changes: Any) -> None:
        """The process asks for a transfer to the kitchen."""
        order = messages.TransferWarm(7, "kitchen", "Ada is hungry.", 20)
        self.stage.says(messages.TransferWarm(**{**_fields(order), **changes}))
        await settled()

    async def held(self) -> Answer:
        """... and the carrier asks what is next: the caller waits, and the human is called."""
        await self.ordered()
        answer = self.call.answering.next()
        await settled()
        return answer

    async def asked(self) -> Brief:
        """... and the human picks up."""
        await self.held()
        answer = self.desk.answered(self.marker, self.human())
        assert isinstance(answer, Brief)
        return answer

    async def asked_and_taken(self) -> Hold:
        """... and takes the call: where the caller waits is returned."""
        await self.asked()
        answer = self.desk.replied(self.marker, 1, "1", "")
        assert isinstance(answer, Meet)
        return Hold(answer.room)

    def human(self, sid: str = HUMAN) -> IncomingCall:
        """Return the human's leg, as the carrier announces it."""
        placed = PlacedFor(self.marker, "", "hang-up", {}, 60.0, transfer_of=self.call.sid)
        direction = "outbound-api"
        return replace(incoming(self.human_leg, sid), direction=direction, placed=placed)

    def attempt(self, state: AttemptState, status: str = "", answered_by: str = "") -> None:
        """The dialer hears of the human's call."""
        it = Attempt(self.marker, NUMBER, "+1", None, CallPlan(), 0.0)
        it.machine.state, it.status, it.answered_by = state, status, answered_by
        for listener in self.dialer.following.listeners:
            listener(it)

    def ended(self, status: str) -> None:
        """The human's call is over."""
        self.attempt(AttemptState.ENDED, status)

    def back(self) -> CallStream:
        """The carrier opens another stream."""
        stream, _ = self.stage.open_stream()
        return stream

    def state(self) -> CallState:
        """Where the call stands now."""
        return self.call.flow.state

    @property
    def told(self) -> list[messages.Event | bytes]:
        """What the process heard after its first stream had begun."""
        return self.stage.worker.heard[3:]

    @property
    def outcomes(self) -> list[str]:
        """How the process was told it went."""
        return [it.outcome for it in self.told if isinstance(it, messages.WarmTransferred)]

    def order(self, **changes: Any) -> WarmOrder:
        """Return an order of the operator's."""
        fields: dict[str, Any] = {
            "to": "kitchen",
            "number": NUMBER,
            "summary": "Ada is hungry.",
            "ring_seconds": 20,
        }
        return WarmOrder(**{**fields, **changes})

    def close(self) -> None:
        """Let go."""
        self.stage.close()


def _fields(order: messages.TransferWarm) -> dict[str, Any]:
    return {name: getattr(order, name) for name in order.__struct_fields__}
