"""What a session is to be asked to say, one thing at a time. Pure; the clock is given.

    add ──> waits: another response runs, the caller speaks or is about to be answered
             │
             └──> asked (`response.create`) ──response.created──> taken
                    └ refused, the server was busy after all: waits again, at the front

The server makes responses of its own when a turn of the caller's is over. One of those answers
everything that was in the conversation when it began, so what waits to have that answered goes
with it; what is to be said word for word does not.
"""

from collections import deque
from dataclasses import dataclass

SAY = (
    "Say exactly the following to the caller, word for word and in its own language, and add"
    " nothing before or after it:\n\n{text}"
)
GO_ON = (
    "{system}\n\nThe line broke in the middle of your last sentence. Go on from where it ends, and"
    " repeat nothing of it."
)
MOST_WAITING = 32


@dataclass(frozen=True, slots=True)
class Order:
    """A response to be asked for.

    With ``text``: to say just that, later if the caller was quicker and it ``keeps``. Without: to
    answer what is in the conversation, or, if it ``goes_on``, to finish what was broken off.
    """

    key: str
    text: str = ""
    goes_on: bool = False
    interruptible: bool = True
    keeps: bool = True

    def instructions(self, system: str) -> str:
        """Return what the model is told for this response; empty: what it is told anyway."""
        if self.text:
            return SAY.format(text=self.text)
        return GO_ON.format(system=system) if self.goes_on else ""


class Orders:
    """What waits to be asked for, and what was asked for."""

    def __init__(self) -> None:
        self._waiting: deque[Order] = deque()
        self._next = 0
        self._not_before = 0.0
        self.asked: Order | None = None
        """Asked for; the server has not begun it."""

    def __bool__(self) -> bool:
        return bool(self._waiting) or self.asked is not None

    def say(self, text: str, *, interruptible: bool = True, keeps: bool = True) -> None:
        """Have a text said, after all else; beyond `MOST_WAITING` it is not."""
        if text.strip() and len(self._waiting) < MOST_WAITING:
            self._waiting.append(Order(self._key(), text, False, interruptible, keeps))

    def answer(self, *, goes_on: bool = False, first: bool = False) -> None:
        """Have the conversation answered, once, however often it is asked for meanwhile."""
        if any(not order.text for order in self._waiting):
            return
        order = Order(self._key(), goes_on=goes_on)
        if first:
            self._waiting.appendleft(order)
        else:
            self._waiting.append(order)

    def _key(self) -> str:
        self._next += 1
        return f"order_{self._next}"

    def next(self, now: float) -> Order | None:
        """Return what is to be asked for now: it counts as asked."""
        if self.asked is not None or not self._waiting or now < self._not_before:
            return None
        self.asked = self._waiting.popleft()
        return self.asked

    def taken(self, key: str | None) -> Order | None:
        """A response began; ``key`` is the order that it says it comes of. Return that one."""
        order = self.asked
        if order is not None and key == order.key:
            self.asked = None
            return order
        self._waiting = deque(order for order in self._waiting if order.text)
        return None

    def again(self, order: Order) -> None:
        """An order has come to nothing: it is the next."""
        if self.asked is order:
            self.asked = None
        self._waiting.appendleft(order)

    def wait_until(self, not_before: float) -> None:
        """Ask for nothing sooner."""
        self._not_before = not_before

    def refused(self, key: str | None, *, is_busy: bool, not_before: float) -> bool:
        """The server did not take what was asked for: it is busy, or it does not like it.

        Tell whether it was an order of ours; one that is not liked is forgotten.
        """
        order = self.asked
        if order is None or key != order.key:
            return False
        self.asked = None
        if is_busy:
            self.again(order)
            self.wait_until(not_before)
        return True

    def lost(self) -> None:
        """The connection is gone, and what was asked for on it."""
        if self.asked is not None:
            self.again(self.asked)
