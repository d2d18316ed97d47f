"""The states of a release, as a table of allowed moves.

    building -> loading -> rehearsing -> ready -> live -> draining -> retired
        \\          \\___________\\__________\\______________________-> failed

A rollback moves draining back to live while the template is warm; a retired or failed release is
loaded again from its snapshot.
"""

from enum import Enum

from shared.machine import Machine


class ReleaseState(Enum):
    """How far a release has come."""

    BUILDING = "building"
    LOADING = "loading"
    REHEARSING = "rehearsing"
    READY = "ready"
    LIVE = "live"
    DRAINING = "draining"
    RETIRED = "retired"
    FAILED = "failed"


_S = ReleaseState
MOVES: dict[ReleaseState, frozenset[ReleaseState]] = {
    _S.BUILDING: frozenset({_S.LOADING, _S.FAILED}),
    _S.LOADING: frozenset({_S.REHEARSING, _S.FAILED}),
    _S.REHEARSING: frozenset({_S.READY, _S.FAILED}),
    _S.READY: frozenset({_S.LIVE, _S.FAILED, _S.RETIRED}),
    # Its template died: loaded again, calls in progress go on meanwhile.
    _S.LIVE: frozenset({_S.DRAINING, _S.LOADING, _S.RETIRED}),
    _S.DRAINING: frozenset({_S.LIVE, _S.LOADING, _S.RETIRED}),
    _S.RETIRED: frozenset({_S.LOADING}),
    _S.FAILED: frozenset({_S.LOADING}),
}


def release_machine() -> Machine[ReleaseState]:
    """Return the machine of a new release."""
    return Machine(ReleaseState.BUILDING, MOVES)
