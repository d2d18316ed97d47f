"""`python -m worker.chat`, as the command line starts it: a process of its own."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.harness import ROOT
from tests.worker.chat.stub_agents import FOLDER


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    """An agents folder; the working directory lies elsewhere."""
    folder = tmp_path / "agents"
    folder.mkdir()
    for name, text in FOLDER.items():
        (folder / name).write_text(text)
    return folder


def _command(agents: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "worker.chat", "--agents", str(agents), *words]


def _environment(**more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TERM": "dumb", **more}


def _run(agents: Path, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command(agents, *words),
        cwd="/",
        env=_environment(),
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def _turns(agents: Path, *words: str, typed: str = "") -> list[dict[str, Any]]:
    done = _run(agents, "--json", *words, typed=typed)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_what_is_said_is_answered_and_shown_with_tools_and_stages(agents: Path) -> None:
    done = _run(agents, "--say", "book", "--say", "next", "--say=bye", "--from", "+1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "Desk: Front desk.",
        "You: book",
        "Desk: One moment.",
        "  book(people=4)",
        "  -> booked for 4 by +1",
        "Desk: I heard booked for 4 by +1",
        "You: next",
        "  move_to_stage(stage='end')",
        "  stage end",
        "  -> The conversation is now in the stage end.",
        "Desk: I heard The conversation is now in the stage end.",
        "You: bye",
        "Desk: Goodbye.",
        "  hang_up()",
        "  hung up",
    ]


def test_json_is_an_object_a_turn_the_greeting_first(agents: Path) -> None:
    greeting, first, _ = _turns(agents, "--say", "book", "--say", "x")
    assert (greeting["turn"], greeting["caller"], greeting["text"]) == (0, None, "Front desk.")
    assert first == {
        "turn": 1,
        "caller": "book",
        "agent": "Desk",
        "text": "One moment. I heard booked for 4 by +15550002222",
        "tools": [
            {
                "name": "book",
                "arguments": {"people": 4},
                "label": "ok",
                "outcome": "booked for 4 by +15550002222",
            }
        ],
        "stage": "start",
        "digits": "",
        "hung_up": False,
        "transferred_to": None,
        "problems": [],
    }


def test_what_is_typed_into_a_pipe_is_said_until_it_ends(agents: Path) -> None:
    turns = _turns(agents, typed="hello\n\n/keys 12#\n/wrong\n/keys xyz\n/silence 16\n")
    assert [turn["caller"] for turn in turns] == [None, "hello", "/keys 12#", "/silence 16"]
    assert turns[2]["text"] == "I heard (The caller pressed the keys 12.)"
    assert turns[3]["text"] == "Are you still there?"
    notes = _run(agents, typed="/wrong\n/keys xyz\n/silence x\n/quit\nnever said\n")
    assert notes.returncode == 0
    assert "/wrong is no command: /keys 12# presses keys" in notes.stdout
    assert "'xyz' are no keys" in notes.stdout
    assert "'x' are no seconds: write /silence 20" in notes.stdout
    assert "never said" not in notes.stdout


def test_a_call_that_the_agent_ends_ends_the_chat(agents: Path) -> None:
    assert [turn["hung_up"] for turn in _turns(agents, typed="bye\nhello?\n")] == [False, True]


def test_what_could_not_be_said_any_more_is_a_failure(agents: Path) -> None:
    done = _run(agents, "--say", "bye", "--say", "one more thing")
    assert done.returncode == 1
    assert done.stderr == 'the call was over before this was said: "one more thing"\n'


def test_the_agent_is_the_one_of_the_number_or_the_one_that_is_named(agents: Path) -> None:
    assert _turns(agents, "--to", "+49")[0]["agent"] == "Other"
    assert _turns(agents, "--to", "+49", "--agent", "desk:Desk")[0]["agent"] == "Desk"


def test_offline_a_stand_in_says_what_it_was_given(agents: Path) -> None:
    turn = _turns(agents, "--agent", "desk:Hosted", "--offline", "--say", "hi")[1]
    assert 'You said: "hi".' in turn["text"]
    assert "tools at hand: book, hang_up, move_to_stage." in turn["text"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--agent", "desk:Nobody"), "there is no class 'Nobody' in desk"),
        (("--agent", "nowhere:Desk"), "there is no module 'nowhere'"),
        (("--agent", "broken:Desk"), "broken.py, line 3: NameError: name 'undefined' is"),
        (("--agent", "desk:Failing", "--say", "x"), "desk.py, line 45: LookupError: no such day"),
        (("--agent", "desk:Hosted"), "set OPENAI_API_KEY; or chat without a model: --offline"),
    ],
)
def test_what_is_wrong_is_one_sentence(agents: Path, words: tuple[str, ...], sentence: str) -> None:
    done = _run(agents, *words)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_error_begins_on_a_line_of_its_own(agents: Path) -> None:
    done = _run(agents, "--agent", "desk:Speechless")
    assert (done.returncode, done.stdout) == (1, "Speechless: Front desk.\n")


def test_a_file_that_is_no_python_is_named_with_its_line(agents: Path) -> None:
    (agents / "bad.py").write_text("x = 1\nif:\n")
    done = _run(agents)
    assert done.returncode == 1
    assert "bad.py, line 2" in done.stderr


def test_wrong_options_are_two(agents: Path) -> None:
    assert _run(agents, "--loud").returncode == 2
    assert _run(agents, "--say").returncode == 2


def test_no_trace_is_left_in_the_agents_folder(agents: Path) -> None:
    before = sorted(agents.rglob("*"))
    _run(agents, "--say", "book")
    assert sorted(agents.rglob("*")) == before


class Terminal:
    """A chat at a terminal, and whoever sits there."""

    def __init__(self, process: subprocess.Popen[bytes], fd: int) -> None:
        self.process, self._fd = process, fd
        self.seen = ""

    def shows(self, text: str) -> None:
        """Wait until ``text`` is on the screen; what comes after it is looked for next."""
        deadline = time.monotonic() + 30
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            if select.select([self._fd], [], [], 0.1)[0]:
                self.seen += os.read(self._fd, 65536).decode()
        self.seen = self.seen.partition(text)[2]

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._fd, keys)

    def echoes(self) -> bool:
        """Tell whether the terminal is as it was: it echoes, and waits for whole lines."""
        import termios

        flags = termios.tcgetattr(self._fd)[3]
        return bool(flags & termios.ECHO and flags & termios.ICANON)


_AS_TYPED = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)
"""Starts a command as a terminal does: one that runs in the background has Ctrl-C ignored."""


@contextmanager
def _terminal(agents: Path, *words: str) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", _AS_TYPED, *_command(agents, *words)],
        cwd="/",
        env=_environment(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        try:
            yield Terminal(process, ours)
        finally:
            process.kill()
            os.close(theirs)
            os.close(ours)


def test_at_a_terminal_lines_are_typed_and_ctrl_d_leaves(agents: Path) -> None:
    with _terminal(agents) as terminal:
        terminal.shows("Desk: Front desk.")
        terminal.shows("You: ")
        terminal.type(b"hello\n")
        terminal.shows("Desk: I heard hello")
        terminal.shows("You: ")
        terminal.type(b"\x04")
        assert terminal.process.wait(20) == 0
        assert terminal.echoes()


def test_ctrl_c_leaves_cleanly_while_a_line_is_typed(agents: Path) -> None:
    with _terminal(agents) as terminal:
        terminal.shows("You: ")
        terminal.type(b"hal")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.process.wait(20) == 0
        assert terminal.echoes()
        assert "Traceback" not in terminal.seen


def test_ctrl_c_leaves_cleanly_while_the_agent_thinks(agents: Path) -> None:
    (agents / "slow.py").write_text(
        "import asyncio\nfrom desk import Desk\nclass Slow(Desk):\n"
        "    async def inference(self, message):\n"
        "        await self.say('Wait.')\n        await asyncio.sleep(60)\n"
    )
    with _terminal(agents, "--agent", "slow:Slow") as terminal:
        terminal.shows("You: ")
        terminal.type(b"hello\n")
        terminal.shows("Slow: Wait.")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.process.wait(20) == 0
