"""``python -m bench [NAME [OPTIONS]]``: run one benchmark, or all of them one after the other."""

import sys
from importlib import import_module

from bench.figures import machine

BENCHMARKS = {
    "relay": "the gateway's CPU per call against the same relay as a Starlette WebSocketRoute",
    "start": "request to agent code in a call process, and its memory, against a spawned process",
    "burst": "a hundred webhooks at once",
    "greeting": "the stream's start to the first audio of a greeting",
    "echo": "audio there and back at 1 to 100 calls",
    "cascade": "conversations by three providers at 1 to 50 calls: delays, CPU, memory",
    "voice": "conversations by each speech model at 1 to 30 calls: delays, CPU, memory",
    "records": "the echo of live calls while finished ones are written; lists of many calls",
    "campaign": "the gateway's memory over a campaign of 10,000 numbers",
    "memory": "what the gateway keeps of frames and of calls",
    "deploy": "the echo of live calls with and without deploys",
}
"""Module of this package with a ``main(argv) -> int``, and what it measures."""

_MODULES = {"voice": "voice_models"}
"""Where a module has a longer name."""


def main(argv: list[str]) -> int:
    """Run what ``argv`` names and return the exit code: that of the first one that failed."""
    if argv and argv[0] not in BENCHMARKS:
        print("usage: python -m bench [NAME [OPTIONS]]\n")
        for name, text in BENCHMARKS.items():
            print(f"  {name:<12} {text}")
        return 0 if argv[0] in {"-h", "--help"} else 2
    names, options = ([argv[0]], argv[1:]) if argv else (list(BENCHMARKS), [])
    print(machine())
    failed = 0
    for name in names:
        print(f"== {name}: {BENCHMARKS[name]}", flush=True)
        failed = import_module(f"bench.{_MODULES.get(name, name)}").main(options) or failed
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
