"""What the dialer says no with, as problems."""

from gateway.api.problems import ProblemError, sentence
from gateway.dialer.errors import DialError, DialInDoubtError, DialRefusedError
from gateway.dialer.numbers import NumberRefusedError


def dial_problem(error: DialError | NumberRefusedError) -> ProblemError:
    """Return the problem that ``error`` is: 422 for good, 503 for now, 504 if nobody knows."""
    if isinstance(error, NumberRefusedError):
        return ProblemError(422, sentence(error), reason=error.reason.value)
    if isinstance(error, DialRefusedError):
        if error.reason == "company":
            return ProblemError(404, sentence(error), reason=error.reason)
        code = {"code": error.code} if error.code else {}
        return ProblemError(422, sentence(error), reason=error.reason, **code)
    if isinstance(error, DialInDoubtError):
        return ProblemError(504, sentence(error), reason="in-doubt", id=error.id)
    return ProblemError(503, sentence(error), reason="unavailable")
