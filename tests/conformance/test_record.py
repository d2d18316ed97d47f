"""Every house leaves a record, a recording where the carrier makes one, and no secrets."""

import re
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conformance.stage import Stage, side_by_side
from tests.e2e import processes
from tests.harness import eventually

pytestmark = pytest.mark.asyncio(loop_scope="package")


@side_by_side
async def test_it_leaves_a_record_of_lines_turns_and_outcome(stage: Stage) -> None:
    stage.answers({"for the record": "So noted."})
    async with stage.caller("Recorded") as caller:
        await caller.hears("Good evening.")
        await caller.asks("for the record", "So noted.")
        await caller.is_let_finish()
    view = await caller.over()
    assert stage.lines(view) == [
        ("agent", "Good evening.", False),
        ("caller", stage.said("for the record"), False),
        ("agent", "So noted.", False),
    ]
    at = [line["at_ms"] for line in view["lines"]]
    assert at == sorted(at)
    assert [turn["number"] for turn in view["turns"]] == [0, 1]
    assert view["turns"][1]["reply_ms"] > 0
    assert view["agent_state"] == {"turns": 1}
    assert (view["agent"], view["exit"]) == ("desk:Recorded", "exit code 0")
    code, shown = await stage.gateway.command("show", caller.sid)
    assert code == 0
    assert "So noted." in shown


@side_by_side
async def test_the_carrier_records_both_sides_when_the_agent_asks_for_it(stage: Stage) -> None:
    async with stage.caller("Recorded") as caller:
        recordings = stage.twilio.account.recordings
        found = await eventually(
            lambda: [it for it in recordings.values() if it.call_sid == caller.sid]
        )
        assert [(it.channels, it.track, it.status) for it in found] == [(2, "both", "in-progress")]
        await caller.hears("Good evening.")


@side_by_side
async def test_no_process_of_a_call_listens_on_a_socket(stage: Stage) -> None:
    async with stage.caller() as caller:
        await caller.hears("Good evening.")
        pid = (await caller.view())["pid"]
        listening = _listening()
        assert _sockets(stage.gateway.pid) & listening, "the gateway does: it is looked at rightly"
        for other in processes.descendants(stage.gateway.pid):
            assert not _sockets(other) & listening, processes.title(other)
        assert pid in processes.descendants(stage.gateway.pid)


async def test_no_key_and_no_word_of_a_caller_is_in_the_log(alone: Stage) -> None:
    stage = alone
    stage.answers({"my secret is green": "I keep it."})
    async with stage.caller() as caller:
        await caller.hears("Good evening.")
        await caller.asks("my secret is green", "I keep it.")
    await caller.over()
    log = stage.gateway.log_text()
    assert not [key for key in stage.premises.keys if key in log]
    said = [line for line in stage.premises.script.heard if " " in line]
    assert not [line for line in (*said, "I keep it.") if line in log]
    assert not re.search(r"(?i)authorization|bearer|api[-_]key", log)


def _listening() -> set[str]:
    """Return the inodes of all TCP sockets that listen (proc_net_tcp(5): state 0A)."""
    rows = [
        line.split()
        for family in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{family}").read_text().splitlines()[1:]
    ]
    return {row[9] for row in rows if row[3] == "0A"}


def _sockets(pid: int) -> set[str]:
    """Return the inodes of the sockets that a process holds; of one that is gone, none."""
    found = set()
    with suppress(FileNotFoundError, ProcessLookupError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed while we looked
                kind, _, inode = str(entry.readlink()).partition(":[")
                if kind == "socket":
                    found.add(inode.rstrip("]"))
    return found
