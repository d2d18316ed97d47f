"""How the whole suite is shared out among processes that run it at once (pytest-xdist).

Most tests wait for somebody to speak, so there is a process more than there are cores; with more
than that, callers hear late what is said in time. A file is run by one process, because its tests
may share a running gateway. The conformance suite is run by one, too: it holds as many
conversations at once as a small machine bears, and lasts no longer than all else. What is long
begins first.

It refuses to know how long a test takes: folders say enough.
"""

import os

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

_MOST = 8
_AT_ONCE = "tests/conformance/"
_LONG = (_AT_ONCE, "tests/e2e/", "tests/bench/", "tests/gateway/")
"""Where long tests are, the longest first."""


def processes(config: pytest.Config) -> int:
    """Return how many processes run what was asked for: chosen tests are run by this one."""
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if not whole or config.option.keyword or config.option.collectonly:
        return 0
    return min(len(os.sched_getaffinity(0)) + 1, _MOST)


def long_ones_first(items: list[pytest.Item]) -> None:
    """Sort tests by folder, and leave those of a folder in their order."""

    def rank(item: pytest.Item) -> int:
        ranks = (rank for rank, folder in enumerate(_LONG) if item.nodeid.startswith(folder))
        return next(ranks, len(_LONG))

    items.sort(key=rank)


class Sharing(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Gives each process a file at a time, in the order in which tests were collected."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return _AT_ONCE if nodeid.startswith(_AT_ONCE) else nodeid.partition("::")[0]
