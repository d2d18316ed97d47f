"""What the doctor has to say: findings, and the report they make with the settings."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """How bad it is: in order, can be served with, should be looked at, cannot work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, what was seen, and what to do if it is not in order."""

    status: Status
    subject: str
    text: str
    fix: str = ""


def ok(subject: str, text: str) -> Finding:
    """Return a finding that asks for nothing."""
    return Finding(Status.OK, subject, text)


def warn(subject: str, text: str, fix: str) -> Finding:
    """Return a finding that can be lived with."""
    return Finding(Status.WARN, subject, text, fix)


def fail(subject: str, text: str, fix: str) -> Finding:
    """Return a finding that must be mended first."""
    return Finding(Status.FAIL, subject, text, fix)


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting as shown: secrets masked, empty for not set."""

    variable: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything the doctor saw."""

    settings: tuple[SettingRow, ...]
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """1 when anything cannot work, else 0."""
        return int(any(finding.status is Status.FAIL for finding in self.findings))

    def as_json(self) -> dict[str, Any]:
        """Return the report as a JSON object: ``ok``, ``settings`` and ``findings``."""
        return {"ok": self.exit_code == 0, **asdict(self)}
