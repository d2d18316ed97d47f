"""``callfarm chat`` with a stub in the worker's place: it tells what it was started with."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.harness import ROOT

STUB = """
import json, os, sys
seen = {
    "words": sys.argv[1:],
    "environment": dict(os.environ),
    "pid": os.getpid(),
    "tty": os.isatty(0) and os.isatty(1),
    "modules": [name for name in sys.modules if name.startswith("gateway")],
}
sys.stdout.write(json.dumps(seen))
sys.exit(int(os.environ.get("AGENT_CODE", "0")))
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A working directory with an agents folder and the stub."""
    (tmp_path / "stub" / "worker").mkdir(parents=True)
    (tmp_path / "stub" / "worker" / "__init__.py").touch()
    (tmp_path / "stub" / "worker" / "chat.py").write_text(STUB)
    (tmp_path / "agents").mkdir()
    return tmp_path


def _environment(place: Path, **more: str) -> dict[str, str]:
    path = f"{place / 'stub'}{os.pathsep}{ROOT}"
    return {"PATH": os.environ["PATH"], "PYTHONPATH": path, **more}


def _run(place: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", "chat", *words],
        cwd=place,
        env=_environment(place, **more),
        capture_output=True,
        text=True,
        check=False,
    )


def _seen(place: Path, *words: str, **more: str) -> dict[str, Any]:
    done = _run(place, *words, **more)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def test_a_chat_without_options_is_with_the_agents_of_the_settings(place: Path) -> None:
    agents = ["--agents", str(place / "agents")]
    numbers = ["--from", "+15550002222", "--to", "+15550001111"]
    assert _seen(place)["words"] == [*agents, *numbers]


def test_every_option_reaches_the_agents_process(place: Path) -> None:
    (place / "mine").mkdir()
    words = ["--agents", "mine", "--agent", "a:A", "--say", "hello", "--say", "-5 degrees"]
    words += ["--json", "--offline", "--from", "+1", "--to", "+2"]
    assert _seen(place, *words)["words"] == [
        *("--agents", str(place / "mine"), "--from", "+1", "--to", "+2", "--agent", "a:A"),
        *("--say=hello", "--say=-5 degrees", "--json", "--offline"),
    ]


def test_the_agents_process_sees_what_a_call_process_sees_and_no_secret_of_the_gateway(
    place: Path,
) -> None:
    (place / ".env").write_text("OPENAI_API_KEY=sk-1\nAPI_TOKEN=t\nAGENT_CRM=here\n")
    secrets = dict.fromkeys(("TWILIO_AUTH_TOKEN", "SECRET_KEY", "AWS_SECRET_ACCESS_KEY"), "x")
    seen = _seen(place, ELEVEN_LABS_API_KEY="el", TERM="xterm", **secrets)["environment"]
    wanted = {"OPENAI_API_KEY": "sk-1", "ELEVENLABS_API_KEY": "el", "AGENT_CRM": "here"}
    assert {**wanted, "TERM": "xterm"}.items() <= seen.items()
    assert not {"API_TOKEN", "ELEVEN_LABS_API_KEY", *secrets} & seen.keys()


def test_the_agents_process_has_nothing_of_the_gateway_in_it(place: Path) -> None:
    assert _seen(place)["modules"] == []


@pytest.mark.parametrize("code", [0, 1, 2])
def test_the_exit_code_is_the_agents_process_own(place: Path, code: int) -> None:
    assert _run(place, AGENT_CODE=str(code)).returncode == code


def test_the_terminal_is_the_agents_process_own(place: Path) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "gateway", "chat"],
        cwd=place,
        env=_environment(place),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        output = b""
        while not output.endswith(b"}"):
            output += os.read(ours, 65536)
        assert process.wait(30) == 0
    os.close(ours)
    seen = json.loads(output)
    assert seen["tty"]
    assert seen["pid"] == process.pid, "one process: Ctrl-C reaches the agent and nobody else"


def test_a_folder_that_is_not_there_is_a_sentence(place: Path) -> None:
    done = _run(place, "--agents", "nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no agents folder" in done.stderr
    assert "Traceback" not in done.stderr
