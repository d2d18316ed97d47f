"""What a database may say no with: that it is not there, or that it will not have this.

StoreError
    .away   it may be there again in a moment: locked, full, restarting, unreachable
    else    this will never be done: a key that is taken, a value that does not fit
"""

import errno

from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    SQLAlchemyError,
    StatementError,
)


class StoreError(Exception):
    """The database did not do it. ``sentence`` says why, without what was to be written.

    ``away``: the same may work later. ``taken``: a row of this key is there already, or one that
    it refers to is not.
    """

    def __init__(self, sentence: str, *, away: bool = False, taken: bool = False) -> None:
        self.sentence, self.away, self.taken = sentence, away, taken
        super().__init__(sentence)

    def __str__(self) -> str:
        return self.sentence


FAILURES = (SQLAlchemyError, OSError, TimeoutError, ValueError, TypeError, OverflowError)
"""What a driver or SQLAlchemy may raise when it is asked something."""

_BAD_VALUE = ("22", "23")
"""Classes of PostgreSQL's SQLSTATE: data exception, integrity constraint violation."""


def is_bad_value(error: BaseException) -> bool:
    """Tell whether the value is at fault, so that a repeat would fail as well."""
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
        if state is not None:
            return str(state).startswith(_BAD_VALUE)
        # asyncpg checks arguments itself and has no state for what it refuses.
        refused = isinstance(error.orig.__cause__ if error.orig else None, ValueError | TypeError)
        return isinstance(error, IntegrityError | DataError) or refused
    if isinstance(error, OSError | TimeoutError):
        return False
    return isinstance(error, StatementError | ValueError | TypeError | OverflowError)


def store_error(error: BaseException) -> StoreError:
    """Return what ``error`` means. The sentence holds no value: drivers quote them."""
    if isinstance(error, StoreError):
        return error
    if is_bad_value(error):
        if isinstance(error, IntegrityError):
            sentence = (
                "the database will not have it: its key is taken, or what it needs is missing"
            )
            return StoreError(sentence, taken=True)
        return StoreError(f"the database will not have it: {type(error).__name__}")
    return StoreError(f"the database is away: {_reason(error)}", away=True)


def _reason(error: BaseException) -> str:
    """Say why it is away, from what no caller has said."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if isinstance(cause, TimeoutError):
        return "it does not answer"
    if isinstance(cause, OSError) and cause.errno is not None:
        return f"{errno.errorcode.get(cause.errno, '')} {cause.strerror or ''}".strip()
    first = str(cause).strip().partition("\n")[0]
    return first.rpartition(">: ")[2] or type(cause).__name__
