"""What ``python -m worker.chat`` is told on its command line."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """``say`` is what to say; empty: what is typed."""

    agents: Path
    agent: str | None
    say: tuple[str, ...]
    as_json: bool
    offline: bool
    from_: str
    to: str


def parse(words: Sequence[str]) -> Options:
    """Read the command line; leaves with exit code 2 and a sentence when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m worker.chat", description="Talk with an agent in text."
    )
    parser.add_argument("--agents", type=Path, required=True, help="the agents folder")
    parser.add_argument("--agent", metavar="MODULE:CLASS", help="default: what routes.toml says")
    parser.add_argument("--say", action="append", default=[], metavar="TEXT", help="say it")
    parser.add_argument("--json", action="store_true", help="print a JSON object a turn")
    parser.add_argument("--offline", action="store_true", help="ask no model")
    parser.add_argument("--from", dest="from_", default="+15550002222", metavar="NUMBER")
    parser.add_argument("--to", default="+15550001111", metavar="NUMBER")
    given = parser.parse_args(words)
    return Options(
        given.agents,
        given.agent,
        tuple(given.say),
        given.json,
        given.offline,
        given.from_,
        given.to,
    )
