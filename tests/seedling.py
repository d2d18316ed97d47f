"""A program that writes what it was started with, to be compared: ``python -m tests.seedling``."""

import json
import os
import random
import signal
import sys
import threading
from pathlib import Path


def main() -> None:
    """Write it to standard output; exit with the code that the last argument says."""
    main_module = sys.modules["__main__"]
    found = {
        "arguments": sys.argv,
        "environment": dict(os.environ),
        "folder": str(Path.cwd()),
        "path": sys.path,
        "main": main_module.__spec__ and main_module.__spec__.name,
        "descriptors": {
            number: Path(f"/proc/self/fd/{number}").readlink().name
            for number in map(int, os.listdir("/proc/self/fd"))  # noqa: PTH208
            if Path(f"/proc/self/fd/{number}").exists()
        },
        "leads": os.getsid(0) == os.getpid(),
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "handlers": {int(it): str(signal.getsignal(it)) for it in signal.valid_signals()},
        "threads": threading.active_count(),
        "limits": Path("/proc/self/limits").read_text(),
        "chance": random.random(),
    }
    sys.stdout.write(json.dumps(found))
    if sys.argv[-1].isdigit():
        sys.exit(int(sys.argv[-1]))
    sys.stdout.flush()
    os.kill(os.getpid(), getattr(signal, sys.argv[-1]))


if __name__ == "__main__":
    main()
