"""Whether an order can be carried out at all, before anything is written down or asked for."""

from collections.abc import Iterable

from gateway.dialer.attempt import OPEN, Attempt, AttemptState
from gateway.dialer.errors import DialRefusedError, DialUnavailableError
from gateway.dialer.lines import Line
from gateway.dialer.numbers import NumberRefusedError, Reason, callable_number
from gateway.dialer.order import MOST_VARIABLE_LETTERS, MOST_VARIABLES, Order

RINGING_SECONDS = 60.0
"""How much longer than its ring time a call of which nothing is heard may still be answered."""

_UNANSWERED = OPEN - {AttemptState.ANSWERED}


def numbers(order: Order, line: Line) -> tuple[str, str]:
    """Return whom an order calls, and from which number, in E.164.

    Raises `NumberRefusedError` and `DialRefusedError`.
    """
    from_ = order.from_ or line.caller_id
    if not from_:
        sentence = "there is no number to call from: set TWILIO_PHONE_NUMBER, or give from"
        raise DialRefusedError("caller-id", sentence)
    if line.shared and from_ != line.caller_id:
        sentence = f"company {order.company} calls from its own number alone: set its caller_id"
        raise DialRefusedError("caller-id", sentence)
    wanted = order.to or line.default_to
    if not wanted:
        raise DialRefusedError("number", "there is no number to call: give to, or set a default")
    to = callable_number(wanted, line.rules[0])
    for rules in line.rules[1:]:
        rules.check(to)
    if to == from_:
        raise NumberRefusedError(to, Reason.ITSELF)
    return to, from_


def ringing(attempts: Iterable[Attempt], now: float) -> int:
    """Return how many may still be answered, to be served by an agent. ``now`` in Unix seconds."""
    return sum(
        it.state in _UNANSWERED
        and not it.plan.transfer_of
        and now - it.created < it.plan.ring_seconds + RINGING_SECONDS
        for it in attempts
    )


def check_room(room: float) -> None:
    """Raise `DialUnavailableError` if whoever answers would hear that all lines are busy.

    ``room`` is for how many more calls there is some.
    """
    if room < 1:
        sentence = "as many calls as may be are in progress, or ring (MAX_CALLS): ask again later"
        raise DialUnavailableError(sentence)


def check_variables(order: Order) -> None:
    """Raise `DialRefusedError` for more variables than a call can carry."""
    size = sum(len(name) + len(value) for name, value in order.variables.items())
    if len(order.variables) > MOST_VARIABLES or size > MOST_VARIABLE_LETTERS:
        sentence = f"variables are at most {MOST_VARIABLES}, of {MOST_VARIABLE_LETTERS} letters"
        raise DialRefusedError("variables", sentence)
