"""A call's picture at a moment, for whoever asks from outside. It changes nothing."""

from dataclasses import dataclass
from typing import Any

from gateway.calls.call import Call
from gateway.calls.transcript import Line
from gateway.calls.turns import Trouble, TurnTime, weight


@dataclass(frozen=True, slots=True)
class CallView:
    """What is told of a call outside. Times in Unix seconds; ``cpu_seconds`` after its end.

    ``conversation_id`` is what the service that holds the conversation calls it, empty without
    one. ``saying`` is what the agent said last or says now, its ``sayings``-th utterance.
    ``account_sid`` is the carrier's account that the call is of.
    """

    sid: str
    state: str
    from_: str
    to: str
    direction: str
    release: str
    agent: str
    conversation_id: str
    pid: int | None
    began: float
    ended: float
    reason: str
    exit: str
    cpu_seconds: float
    agent_state: Any
    state_bytes: int
    saying: str
    sayings: int
    lines: tuple[Line, ...]
    turns: tuple[TurnTime, ...]
    troubles: tuple[Trouble, ...]
    account_sid: str = ""


def view(call: Call) -> CallView:
    """Return the picture of ``call`` now."""
    it, notes = call.incoming, call.notes
    return CallView(
        sid=it.sid,
        state=call.flow.state.value,
        from_=it.from_,
        to=it.to,
        direction=it.direction,
        release=call.release,
        agent=notes.agent,
        conversation_id=notes.conversation_id,
        pid=call.process.pid if call.process is not None else None,
        began=call.began,
        ended=call.ended,
        reason=call.flow.reason,
        exit=str(call.exit) if call.exit is not None else "",
        cpu_seconds=call.exit.cpu_seconds if call.exit is not None else 0.0,
        agent_state=notes.agent_state,
        state_bytes=notes.state_bytes,
        saying=notes.saying,
        sayings=notes.sayings,
        lines=tuple(notes.lines),
        turns=notes.turn_log.turns,
        troubles=notes.turn_log.troubles,
        account_sid=it.account_sid,
    )


def weight_of(it: CallView) -> int:
    """Return about how many bytes ``it`` takes: letters, turns, and the state, unpacked."""
    letters = len(it.saying) + sum(len(line.text) for line in it.lines)
    told = 200 * (10 + len(it.lines)) + 4 * letters + weight(it.turns, it.troubles)
    return told + 10 * it.state_bytes
