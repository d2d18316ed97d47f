"""Gateways that tests fork start like those that are started."""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.farm.farm import Farm, FarmOptions
from tests.harness import ROOT
from tests.seed import seed

VARIABLES = {
    "PATH": "/bin",
    "PYTHONPATH": f"{ROOT}:/nowhere",
    "TWILIO_AUTH_TOKEN": "secret",
    "LC_ALL": "C.UTF-8",
}


async def _forked(folder: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    with (folder / "log").open("wb") as log:
        process = await seed().start(
            "tests.seedling", arguments, folder, VARIABLES, log, new_session=True
        )
    code = await process.wait()
    return code, json.loads((folder / "log").read_text())


async def _started(folder: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.seedling", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=VARIABLES,
            start_new_session=True,
        )
    code = await process.wait()
    return code, json.loads((folder / "log").read_text())


async def test_what_is_forked_finds_all_that_a_started_process_does(tmp_path: Path) -> None:
    (_, forked), (_, started) = await _forked(tmp_path, "0"), await _started(tmp_path, "0")
    assert forked.pop("chance") != started.pop("chance")
    assert forked == started


async def test_no_two_that_are_forked_draw_the_same_numbers(tmp_path: Path) -> None:
    (_, one), (_, other) = await _forked(tmp_path, "0"), await _forked(tmp_path, "0")
    assert one["chance"] != other["chance"]


@pytest.mark.parametrize(
    ("last", "code"), [("0", 0), ("3", 3), ("SIGTERM", -signal.SIGTERM), ("SIGKILL", -9)]
)
async def test_how_it_ended_is_known(tmp_path: Path, last: str, code: int) -> None:
    assert (await _forked(tmp_path, last))[0] == code


async def test_a_farm_in_the_tests_process_does_not_take_the_seed_for_a_stray(
    tmp_path: Path,
) -> None:
    await _forked(tmp_path, "0")
    farm = Farm(FarmOptions(agents_dir=tmp_path, data_dir=tmp_path / "var"))
    farm.end_strays()
    await farm.close()
    assert (await _forked(tmp_path, "0"))[0] == 0


async def test_it_is_sent_signals_until_it_is_gone(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        process = await seed().start(
            "http.server", ["--bind", "127.0.0.1", "0"], tmp_path, VARIABLES, log, new_session=True
        )
    before = process.returncode
    process.kill()
    assert await process.wait() == process.returncode == -9
    assert before is None
    process.kill()
