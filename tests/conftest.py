"""For all tests: how hypothesis looks for examples.

By hand it looks further each time. On CI it always looks at the same ones, so that a change is
judged by what it changes; no example is failed for being slow on a busy machine.
"""

import os

from hypothesis import settings

settings.register_profile("hand", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "hand")
