"""An installation in which everything is in order, for tests to put one thing out of it."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from gateway.doctor.finding import Finding, Status
from shared.settings import Settings


@pytest.fixture
def sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings whose folders exist and hold one agent; the working directory has no ``.env``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "var").mkdir(mode=0o700)
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "echo.py").write_text("class Echo: ...\n")
    (tmp_path / "agents" / "routes.toml").write_text('default = "echo:Echo"\n')
    return Settings(host="127.0.0.1", port=0)


class Seen:
    """Findings, looked at by how bad the worst is and by their words."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = list(findings)

    @property
    def worst(self) -> Status:
        return max((finding.status for finding in self.findings), key=list(Status).index)

    @property
    def text(self) -> str:
        return "\n".join(f"{finding.text} → {finding.fix}" for finding in self.findings)

    def all_have_fixes(self) -> bool:
        return all(finding.fix for finding in self.findings if finding.status is not Status.OK)
