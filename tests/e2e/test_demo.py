"""The main job as a newcomer runs it: ``callfarm demo``, with real speech both ways."""

import asyncio
import json
import os
import sys
import wave
from pathlib import Path

from tests.harness import ROOT


async def test_the_demo_books_a_table_is_interrupted_once_and_leaves_its_files(
    tmp_path: Path,
) -> None:
    # Whoever has begun with an agent of their own has no receptionist in their folder.
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "mine.py").touch()
    # A configured public address must not reach the demo's own gateway.
    (tmp_path / ".env").write_text("PUBLIC_URL=https://voice.example.com\n")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        "demo",
        "--json",
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DATA_DIR": str(tmp_path / "var"),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode() + output.decode()
    result = json.loads(output)
    assert result["booking"]["people"] == 4
    assert result["booking"]["name"] == "Miller"
    interrupted = [line for line in result["lines"] if line["interrupted"]]
    assert len(interrupted) == 1
    assert interrupted[0]["role"] == "agent"
    heard = " ".join(line["text"] for line in result["lines"] if line["role"] == "caller")
    assert "opening hours" in heard
    assert Path(result["transcript"]).read_text().count("caller") >= 5
    with wave.open(result["recording"]) as file:
        assert file.getnchannels() == 2
        assert file.getnframes() > 20 * file.getframerate()
