"""A working directory and an environment of a test's own."""

from pathlib import Path

import pytest

from shared.settings.fields import Settings, variable
from shared.settings.loading import ALIASES


@pytest.fixture(autouse=True)
def _bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (*map(variable, Settings.model_fields), *ALIASES):
        monkeypatch.delenv(name, raising=False)
