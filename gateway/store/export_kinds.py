"""What can be exported, and how. Light, so that the command line knows it without a database."""

from enum import StrEnum


class What(StrEnum):
    """What can be exported."""

    CALLS = "calls"
    LINES = "lines"
    TURNS = "turns"
    LEADS = "leads"


class Form(StrEnum):
    """How."""

    CSV = "csv"
    JSONL = "jsonl"
