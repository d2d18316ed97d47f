"""``callfarm chat`` as an operator types it, with the agents as shipped, and no key."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.harness import ROOT

BOOKING = ("hello i would like to book a table please", "for four people")


async def _chat(folder: Path, *words: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "gateway", "chat", *words),
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(folder)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_the_receptionist_books_a_table_in_text_without_ears_and_voice(
    tmp_path: Path,
) -> None:
    says = [f"--say={text}" for text in (*BOOKING, "on friday at seven o'clock", "goodbye")]
    code, out, err = await _chat(tmp_path, "--agents", str(ROOT / "agents"), "--json", *says)
    assert (code, err) == (0, "")
    turns: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    assert [turn["text"] for turn in turns[1:4]] == [
        "For how many people?",
        "For which day?",
        "What name shall I put it under?",
    ]
    assert turns[-1]["hung_up"]


async def test_the_receptionist_can_fetch_the_manager(tmp_path: Path) -> None:
    words = ("--agents", str(ROOT / "agents"), "--say", "i want to speak to the manager")
    code, out, _ = await _chat(tmp_path, *words)
    assert code == 0
    assert "transferred to manager" in out


@pytest.mark.parametrize("folder", ["basics", "clinic", "restaurant"])
async def test_every_example_can_be_looked_at_without_a_key(tmp_path: Path, folder: str) -> None:
    path = str(ROOT / "docs" / "examples" / folder)
    code, out, err = await _chat(tmp_path, "--agents", path, "--offline", "--say", "hello")
    assert (code, err) == (0, "")
    assert "You: hello" in out
