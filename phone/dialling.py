"""What becomes of a ``<Dial>``: the callee is simulated, its answer and its times are settings.

Of several numbers the first that answers wins; if none does, the first one's outcome counts. Pure:
it says what happens and how long each part takes, others wait and report.
"""

import secrets
from dataclasses import dataclass

from phone.settings import Callee, CalleeOutcome
from phone.verbs import Dial, Number

_EXTRA_RING_S = 5
"""What Twilio adds to the time-out of a ``<Dial>``."""

CALL_EVENTS = ("initiated", "ringing", "answered", "completed")
"""What can be told of a child call, in this order."""


@dataclass(frozen=True, slots=True)
class DialledCall:
    """One simulated child call."""

    number: Number
    sid: str
    outcome: CalleeOutcome
    ring_s: float
    talk_s: float

    @property
    def answered(self) -> bool:
        """Whether the callee picked up."""
        return self.outcome is CalleeOutcome.ANSWERED

    @property
    def action_parameters(self) -> dict[str, str]:
        """What the action of the ``<Dial>`` is told."""
        fields = {
            "DialCallStatus": self.outcome.value,
            "DialCallSid": self.sid,
            "DialBridged": "true" if self.answered else "false",
        }
        return fields | ({"DialCallDuration": str(round(self.talk_s))} if self.answered else {})

    def status_at(self, event: str) -> str:
        """Return the ``CallStatus`` that goes with one of `CALL_EVENTS`."""
        if event == "completed":
            return self.outcome.value
        return "in-progress" if event == "answered" else event


def _ring_seconds(dial: Dial, callee: Callee) -> float:
    if callee.outcome is CalleeOutcome.NO_ANSWER:
        return dial.timeout + _EXTRA_RING_S
    return 0 if callee.outcome is CalleeOutcome.FAILED else callee.ring_s


def place(dial: Dial, callees: list[Callee]) -> DialledCall | None:
    """Return the call that counts; ``None`` when no number was valid.

    ``callees`` belong to the numbers of ``dial``, in their order.
    """
    calls = []
    for number, callee in zip(dial.numbers, callees, strict=True):
        outcome, ring_s = callee.outcome, _ring_seconds(dial, callee)
        if outcome is CalleeOutcome.ANSWERED and ring_s > dial.timeout + _EXTRA_RING_S:
            outcome, ring_s = CalleeOutcome.NO_ANSWER, dial.timeout + _EXTRA_RING_S
        talk_s = callee.talk_s if outcome is CalleeOutcome.ANSWERED else 0
        calls.append(DialledCall(number, "CA" + secrets.token_hex(16), outcome, ring_s, talk_s))
    answered = [call for call in calls if call.answered]
    if answered:
        return min(answered, key=lambda call: call.ring_s)
    return calls[0] if calls else None


FAILED_DIAL = {"DialCallStatus": CalleeOutcome.FAILED.value, "DialBridged": "false"}
"""What the action is told when there was no valid number."""
