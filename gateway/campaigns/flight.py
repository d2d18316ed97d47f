"""A lead that is being called: what the dialer says of its attempt, and what the lead becomes.

    began ──created, ringing──> ──answered──> ──ended──(verdict?)──> settled
      └──refused, lost: nobody was called──> settled

Pure: it does no I/O, and the clock is given (monotonic seconds).
"""

from dataclasses import dataclass

from gateway.campaigns.ledger import Settlement
from gateway.campaigns.outcomes import Outcome, outcome_of
from gateway.campaigns.policy import Consequence, Policy
from gateway.campaigns.scheduler import Lead
from gateway.campaigns.states import LeadMove
from gateway.carriers.placing import Machine
from gateway.dialer.attempt import Attempt, AttemptState

VERDICT_SECONDS = 3.0
"""How much later than a call's end the word on who answered may come."""

GRACE_SECONDS = 3.0
"""What the carrier has for ending a call that is too long, before we do."""

AGAIN_SECONDS = 30.0
"""Between two tries to end it."""

LOST_SECONDS = 3600.0
"""How long after its latest end a call's end is waited for."""


@dataclass(slots=True)
class Flight:
    """One lead in flight. ``lead.attempts`` is how many came before this one."""

    lead: Lead
    attempt_id: str
    policy: Policy
    began: float
    recovered: bool = False
    """Whether it was dialled by a gateway before this one, so that nobody waits for an answer."""
    sid: str = ""
    talking: bool = False
    hang_up_at: float | None = None
    """When we end the call: it is longer than the campaign wants."""
    decide_at: float | None = None
    """When what is known is taken as all."""
    outcome: Outcome | None = None
    then: Consequence | None = None
    error: str | None = None

    def __post_init__(self) -> None:
        """Set the time after which nobody is asked any more."""
        self._lost_at = self.began + self.policy.ring_seconds + self.policy.max_seconds
        self._lost_at += LOST_SECONDS

    _lost_at: float = 0.0
    _machine: Machine | None = None

    @property
    def settled(self) -> bool:
        """Whether it is decided what becomes of the lead."""
        return self.then is not None

    def heard(self, attempt: Attempt, mono: float, unserved: str | None = None) -> bool:
        """The dialer says how the attempt stands; return whether the lead was answered by that.

        ``unserved`` is why an agent could not talk to somebody who had answered.
        """
        if self.settled or attempt.id != self.attempt_id:
            return False
        self.sid = attempt.sid or self.sid
        match attempt.state:
            case AttemptState.ANSWERED if not self.talking:
                self.talking = True
                self.hang_up_at = mono + self.policy.max_seconds + GRACE_SECONDS
                return True
            case AttemptState.ENDED:
                self._ended(attempt, mono, unserved)
            case AttemptState.LOST:
                self.not_placed(attempt.error)
            case AttemptState.REFUSED if self.recovered:
                # Why is not known any more. If it was for good, it is refused again.
                self.not_placed(attempt.error)
        return False

    def _ended(self, attempt: Attempt, mono: float, unserved: str | None) -> None:
        self.hang_up_at, self._machine = None, attempt.plan.machine
        self.outcome = outcome_of(attempt.status, attempt.answered_by)
        if unserved is not None and self.outcome is Outcome.ANSWERED:
            self.outcome, self.error = Outcome.FAILED, f"answered, but not served: {unserved}"
        asked = attempt.plan.machine is not Machine.GO_ON and attempt.status == "completed"
        if asked and not attempt.answered_by:
            self.decide_at = self.decide_at or mono + VERDICT_SECONDS
        else:
            self._decide()

    def _decide(self) -> None:
        if self.outcome is not None:
            self.then = self.policy.after(self.outcome, self.lead.attempts + 1, self._machine)

    def passed(self, mono: float) -> bool:
        """Time has passed; return whether the call is to be ended by us now."""
        if self.settled:
            return False
        if self.decide_at is not None and mono >= self.decide_at:
            self._decide()
        elif mono >= self._lost_at:
            self.outcome, self.error = Outcome.LOST, "the carrier never told how it ended"
            self._decide()
        elif self.sid and self.hang_up_at is not None and mono >= self.hang_up_at:
            self.hang_up_at = mono + AGAIN_SECONDS
            return True
        return False

    @property
    def next_at(self) -> float:
        """When `passed` should be asked next."""
        times = (self._lost_at, self.decide_at, self.hang_up_at)
        return min(it for it in times if it is not None)

    # What the dialer's errors say --------------------------------------------------------------

    def not_placed(self, error: str) -> None:
        """Nobody was called: the lead waits again, as the first, and the attempt does not count."""
        self.error, self.then = error, Consequence(LeadMove.NOT_PLACED)

    def refused(self, error: str) -> None:
        """The carrier will not call this number."""
        self.outcome, self.error = Outcome.FAILED, error
        self.then = Consequence(LeadMove.FAIL)

    def skipped(self, error: str) -> None:
        """This number must not be called."""
        self.error, self.then = error, Consequence(LeadMove.SKIP)

    def cancelled(self) -> None:
        """The campaign is: nobody is called again."""
        if self.then is not None and self.then.move is LeadMove.RETRY:
            self.then = Consequence(LeadMove.FAIL)
        elif self.then is not None and self.then.move is LeadMove.NOT_PLACED:
            self.then = Consequence(LeadMove.CANCEL)

    def settlement(self, wall: float) -> Settlement:
        """Return what is to be written down; only when it is settled. ``wall`` in Unix seconds."""
        assert self.then is not None
        move = self.then.move
        placed = move in {LeadMove.SUCCEED, LeadMove.FAIL, LeadMove.RETRY}
        next_at = {LeadMove.RETRY: wall + self.then.delay, LeadMove.NOT_PLACED: 0.0}.get(move)
        outcome = "skipped" if move is LeadMove.SKIP else self.outcome and self.outcome.value
        return Settlement(
            number=self.lead.number,
            attempt_id=self.attempt_id,
            move=move,
            attempts=self.lead.attempts + placed,
            outcome=outcome or None,
            error=self.error,
            call_sid=self.sid or None,
            next_at=next_at,
        )
