"""Whether an order can be carried out at all, before anything is written down or asked for."""

from gateway.dialer.errors import DialRefusedError
from gateway.dialer.lines import Line
from gateway.dialer.numbers import NumberRefusedError, Reason, callable_number
from gateway.dialer.order import MOST_VARIABLE_LETTERS, MOST_VARIABLES, Order


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


def check_variables(order: Order) -> None:
    """Raise `DialRefusedError` for more variables than a call can carry."""
    size = sum(len(name) + len(value) for name, value in order.variables.items())
    if len(order.variables) > MOST_VARIABLES or size > MOST_VARIABLE_LETTERS:
        sentence = f"variables are at most {MOST_VARIABLES}, of {MOST_VARIABLE_LETTERS} letters"
        raise DialRefusedError("variables", sentence)
