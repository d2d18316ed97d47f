"""The ``callfarm`` command: replaces itself with ``python -m gateway``.

A process that the farm spawns re-imports the main module unless it is a package's ``__main__``;
a console script would therefore be run again in every template.
"""

import os
import sys


def main() -> None:
    """Run ``python -m gateway`` with the same arguments, in this very process."""
    os.execv(sys.executable, [sys.executable, "-m", "gateway", *sys.argv[1:]])  # noqa: S606
