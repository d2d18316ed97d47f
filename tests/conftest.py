"""For all tests: how hypothesis looks for examples, how the suite is shared out, and its garbage.

By hand hypothesis looks further each time. On CI it always looks at the same examples, so that a
change is judged by what it changes; no example is failed for being slow on a busy machine.
"""

import gc
import os
from collections.abc import Generator

import pytest
from hypothesis import settings
from xdist.remote import Producer

from tests import sharing

settings.register_profile("hand", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "hand")

# A gateway that need not compile callfarm starts a quarter sooner.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    return sharing.processes(config)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage among what lives until the end.

    Thousands of tests, and all that they import, were otherwise gone through again and again: a
    fifth of what the tests take.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        sharing.long_ones_first(items)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> sharing.Sharing:
    return sharing.Sharing(config, log)
