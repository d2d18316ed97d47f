"""What somebody reads who typed something that cannot work: a sentence, never a traceback."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from tests.fakes.certificates import LOCALHOST
from tests.harness import ROOT

NOBODY = "http://127.0.0.1:1/ai"
"""A server at which nobody listens."""


async def _run(folder: Path, *words: str, **environment: str) -> tuple[int, str, str]:
    """Run a command on a data folder of its own; return exit code, output and errors."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "DATA_DIR": str(folder / "var"), "NO_COLOR": "1", **environment},
    )
    async with asyncio.timeout(60):
        output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--wav", "pyproject.toml", "convert it to 16-bit PCM WAV"),
        ("--dtmf", "xyz", "'x' is no key"),
        ("--loss", "3", "a fraction from 0 to 1"),
        ("--say", "", "give it words"),
        ("--out", "no/such/folder/heard.wav", "there is no folder no/such/folder"),
    ],
)
async def test_a_call_that_cannot_be_made_says_why(
    tmp_path: Path, option: str, value: str, sentence: str
) -> None:
    code, output, errors = await _run(tmp_path, "call", "--url", NOBODY, option, value)
    assert (code, output) == (1, "")
    assert sentence in errors
    assert "Traceback" not in errors


async def test_a_call_to_nobody_names_the_address_it_tried(tmp_path: Path) -> None:
    code, output, _ = await _run(tmp_path, "call", PUBLIC_URL=NOBODY)
    assert code == 1
    assert "http://127.0.0.1:1/ai/twilio/voice: error 11205" in output


@pytest.mark.parametrize("present", [False, True], ids=["missing", "not a certificate"])
async def test_a_gateway_whose_certificate_is_wrong_ends_with_a_sentence(
    tmp_path: Path, present: bool
) -> None:
    certificate, key = tmp_path / "cert.pem", LOCALHOST.write(tmp_path)[1]
    certificate.unlink(missing_ok=True)
    if present:
        certificate.write_text("nothing")
    options = ("--host", "127.0.0.1", "--port", "0")
    tls = ("--tls-cert", str(certificate), "--tls-key", str(key))
    code, output, errors = await _run(tmp_path, "serve", *options, *tls)
    assert (code, output) == (1, "")
    assert f"cannot use the certificate {certificate}" in errors
    assert "Traceback" not in errors


async def test_a_setting_that_is_misspelt_is_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("TRANSFER_NUMBER=+15551234567\nOTHERS_OWN=1\n")
    monkeypatch.chdir(tmp_path)
    path = {"PYTHONPATH": str(ROOT)}
    code, _, errors = await _run(tmp_path, "serve", "--host", "127.0.0.1", "--port", "0", **path)
    assert code == 1, "there are no agents"
    assert ".env: TRANSFER_NUMBER is no setting; did you mean TRANSFER_NUMBERS?" in errors
    assert "OTHERS_OWN" not in errors
    assert "callfarm new NAME makes one" in errors


async def test_a_key_that_is_missing_is_no_bug_to_be_traced(tmp_path: Path) -> None:
    agents = tmp_path / "agents"
    agents.mkdir()
    (agents / "desk.py").write_text(
        "from worker import Agent\nfrom worker.providers import Ultravox\n\n\n"
        "class Desk(Agent):\n    speech = Ultravox()\n"
    )
    words = ("serve", "--port", "0", "--agents", str(agents), "--agent", "desk:Desk")
    code, output, errors = await _run(tmp_path, *words, ULTRAVOX_API_KEY="")
    assert (code, output) == (1, "")
    assert errors == (
        "the agents folder is not fit for calls: ultravox: there is no key: set ULTRAVOX_API_KEY\n"
    )


async def test_an_export_of_no_database_makes_none(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    code, output, errors = await _run(tmp_path, "export", "calls", DATABASE_URL=f"sqlite:///{file}")
    assert (code, output) == (1, "")
    assert errors.startswith(f"there is no database {file}: ")
    assert not file.exists()


async def test_an_export_that_cannot_be_written_names_the_file(tmp_path: Path) -> None:
    code, output, errors = await _run(tmp_path, "export", "calls", "-o", "no/such/file.csv")
    assert (code, output) == (1, "")
    assert errors == "cannot write no/such/file.csv: No such file or directory\n"


async def test_the_doctor_prints_an_object_for_programs(tmp_path: Path) -> None:
    _, output, _ = await _run(tmp_path, "doctor", "--json", HOST="127.0.0.1", PORT="0")
    assert {"ok", "settings", "findings"} <= json.loads(output).keys()


async def test_usage_names_the_command_that_is_typed(tmp_path: Path) -> None:
    code, _, errors = await _run(tmp_path, "serve", "--prt", "3")
    assert code == 2
    assert errors.startswith("Usage: callfarm serve")
