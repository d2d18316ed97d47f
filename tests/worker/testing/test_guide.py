"""docs/testing.md does what it says."""

import re
import subprocess
import sys
from pathlib import Path

from tests.harness import ROOT

FILE = re.compile(r"^`([\w/]+\.py)`:\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^pytest (.*)$", re.MULTILINE)


def test_the_example_of_the_guide_passes_as_it_is(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    files = FILE.findall(guide)
    assert [name for name, _ in files] == ["agents/front_desk.py", "tests/test_front_desk.py"]
    for name, source in files:
        path = tmp_path / name
        path.parent.mkdir()
        path.write_text(source, encoding="utf-8")
    (words,) = COMMAND.findall(guide)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words.split(), "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
