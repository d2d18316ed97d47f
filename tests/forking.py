"""A template and one call of it, in small: what is prepared before a fork is used after it.

The one that prepares is a fork of the test's process itself, so that it is alone in its process
as a template is, whatever threads run the tests.
"""

import os
from collections.abc import Callable
from pathlib import Path

_NOT_SO, _RAISED, _NOT_ALONE = 1, 2, 3


def used_after_a_fork(prepare: Callable[[], object], use: Callable[[], bool]) -> bool:
    """Prepare in one process, and return whether ``use`` is true in a fork of it.

    Blocks until then. What is raised there goes to standard error. Raises ``AssertionError`` when
    preparing has left a thread behind, which no template may have.
    """

    def template() -> int:
        prepare()
        if len(list(Path("/proc/self/task").iterdir())) > 1:
            return _NOT_ALONE
        return _ended(lambda: 0 if use() else _NOT_SO)

    code = _ended(template)
    assert code in {0, _NOT_SO}, {_RAISED: "it raised", _NOT_ALONE: "it left a thread"}.get(code)
    return code == 0


def _ended(work: Callable[[], int]) -> int:
    """Return what ``work`` returns in a fork."""
    child = os.fork()
    if child == 0:
        code = _RAISED
        try:
            code = work()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
