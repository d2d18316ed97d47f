"""Campaigns as the operator runs them: from a spreadsheet, by the commands."""

import asyncio
import csv
import io
import json
import os
import pty
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from phone import CalleeOutcome, Phone
from tests.e2e.carrier import gateway_of
from tests.fakes.twilio_callee import Callee
from tests.fakes.twilio_rest import ACCOUNT_SID, AUTH_TOKEN, TwilioRestServer
from tests.harness import ROOT, RunningGateway, eventually, free_port

LEADS = '''\
\ufeffName;Telefon;City
Anna;+49 30 1234501;Köln
Bob;;Bonn
"""C"" Carl";+49 30 1234502;Mainz
Dora;112;Essen
Emil;+49301234501;Ulm
Fred;+49 30 1234503;Trier
'''

_PATIENCE = 40.0
"""Seconds that a command may take to be started and to say what it has to, on a busy machine."""


def callee(number: str) -> Callee:
    if number.endswith("02"):
        return Callee(CalleeOutcome.BUSY, ring_s=2)
    return Callee(ring_s=2, talk_s=1e6 if number.endswith("99") else 20)


@pytest.fixture
async def twilio() -> AsyncIterator[TwilioRestServer]:
    async with TwilioRestServer(callee=callee, speed=50) as server:
        yield server


async def test_a_spreadsheet_is_called_and_reported_row_by_row(
    tmp_path: Path, twilio: TwilioRestServer
) -> None:
    file = tmp_path / "spring.csv"
    file.write_text(LEADS, encoding="utf-8")
    async with gateway_of(tmp_path, twilio.base_url, free_port()) as gateway:
        code, told = await gateway.command("campaign", "run", str(file))
        assert code == 1
        assert "row 3: there is no number" in told
        assert "row 5: " in told
        assert "emergency" in told
        assert "row 6: row 2 has the same number" in told
        assert "3 of 6 rows cannot be called" in told
        assert not twilio.placed()

        code, told = await gateway.command(
            *("campaign", "run", str(file), "--skip-bad", "--concurrency", "2"),
            *("--var", "offer=spring", "--max-duration", "180", "--hours", "0-24"),
        )
        assert code == 0, told
        assert "spring is completed" in told
        assert "2 done  1 failed" in told
        assert [it.form["TimeLimit"] for it in twilio.placed()] == [["180"]] * 3

        code, told = await gateway.command("campaign", "report", "spring")
        rows = list(csv.DictReader(io.StringIO(told)))
        assert [(row["phone"], row["outcome"], row["status"]) for row in rows] == [
            ("+49301234501", "answered", "completed"),
            ("+49301234502", "busy", "busy"),
            ("+49301234503", "answered", "completed"),
        ]
        assert [row["number"] for row in rows] == ["1", "2", "3"]
        assert rows[1]["variables.name"] == '"C" Carl'
        assert rows[0]["variables.city"] == "Köln"

        output = tmp_path / "report.csv"
        code, told = await gateway.command("campaign", "report", "spring", "-o", str(output))
        assert (code, told.strip()) == (0, f"3 leads in {output}")
        sheet = list(csv.DictReader(io.StringIO(output.read_text(encoding="utf-8-sig"))))
        assert output.read_bytes().startswith("\ufeff".encode())
        assert sheet == rows
        assert time.strptime(sheet[0]["called"], "%Y-%m-%d %H:%M:%S").tm_year >= 2026

        output = tmp_path / "report.json"
        code, told = await gateway.command(
            "campaign", "report", "spring", "--format", "json", "-o", str(output)
        )
        assert (code, told.strip()) == (0, f"3 leads in {output}")
        assert [it["call_sid"] for it in json.loads(output.read_text())] == [
            call.sid for call in sorted(twilio.account.calls.values(), key=lambda it: it.to)
        ]

        again = ("campaign", "run", str(file), "--skip-bad", "--detach", "--hours", "0-24")
        code, told = await gateway.command(*again, "--name", "spring")
        assert (code, "there is a campaign 'spring' already" in told) == (1, True)
        code, told = await gateway.command(*again, "--machine", "hang-up")
        assert (code, "spring-2 is running" in told) == (0, True)
        assert (await gateway.command("campaign", "cancel", "spring-2"))[0] == 0

        code, told = await gateway.command("campaign", "list", "--json")
        assert (code, json.loads(told)) == (0, [])
        code, told = await gateway.command("campaign", "show", "spring", "--json")
        assert json.loads(told)["outcomes"] == {"answered": 2, "busy": 1}
        code, told = await gateway.command("campaign", "resume", "spring")
        assert code == 1
        assert "the campaign is completed" in told.lower()


async def test_ctrl_c_asks_whether_to_pause(tmp_path: Path, twilio: TwilioRestServer) -> None:
    file = tmp_path / "long.csv"
    file.write_text("phone\n+4930123499\n+4930123498\n")
    async with gateway_of(tmp_path, twilio.base_url, free_port()) as gateway:
        words = ("campaign", "run", str(file), "--max-duration", "14400")
        async with _Terminal(gateway, *words) as terminal:
            await terminal.shows("1 in progress")
            terminal.interrupt()
            await terminal.shows("Pause the campaign?")
            terminal.types("y\n")
            await terminal.shows("callfarm campaign resume")
            await terminal.shows("1 in progress")
            (call,) = twilio.account.calls.values()
            twilio.account.end_call(call.sid)
            twilio.account.tell(call)
            await terminal.shows("long is paused")
            assert await terminal.ended() == 1
        async with _Terminal(gateway, "campaign", "watch", "long") as terminal:
            assert await terminal.ended() == 1
        code, told = await gateway.command("campaign", "resume", "long")
        assert (code, "long is running" in told) == (0, True)
        async with _Terminal(gateway, "campaign", "watch", "long") as terminal:
            assert await terminal.ended() == 0
        assert len(twilio.account.calls) == 2


async def test_a_campaign_leaves_room_for_those_who_call(tmp_path: Path) -> None:
    file = tmp_path / "many.csv"
    file.write_text("phone\n" + "".join(f"+493012345{n:02}\n" for n in range(6)))
    # Their documents are fetched, and never a stream comes of it.
    talks = Callee(ring_s=1, talk_s=1e6, fetches=True)
    limits = {"MAX_CALLS": "3", "CAMPAIGN_RESERVE": "30", "STREAM_TIMEOUT_SECONDS": "100"}
    async with (
        TwilioRestServer(callee=lambda number: talks, speed=50) as twilio,
        gateway_of(tmp_path, twilio.base_url, free_port(), None, **limits) as gateway,
    ):
        words = ("--concurrency", "6", "--max-duration", "14400", "--detach")
        code, told = await gateway.command("campaign", "run", str(file), *words)
        assert code == 0, told

        async def called() -> bool:
            return len(await gateway.calls()) == 2

        await eventually(called, seconds=20)
        await asyncio.sleep(2.5)  # the campaign looks for room once a second
        assert len(twilio.account.calls) == 2
        phone = Phone(f"{gateway.url}/twilio/voice", auth_token=AUTH_TOKEN, account_sid=ACCOUNT_SID)
        async with phone.dial() as caller:
            await caller.connected(timeout=20)


class _Terminal:
    """A ``callfarm`` command in a terminal of its own."""

    def __init__(self, gateway: RunningGateway, *words: str) -> None:
        self._words = (*words, "--data-dir", str(gateway.data_dir))
        self._read = bytearray()

    async def __aenter__(self) -> "_Terminal":
        self._master, slave = pty.openpty()
        os.set_blocking(self._master, False)
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", *self._words),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=ROOT,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "200"},
            # What runs in a shell's background would hand on that interrupts are ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        os.close(slave)
        asyncio.get_running_loop().add_reader(self._master, self._take)
        return self

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._master)
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        os.close(self._master)

    def _take(self) -> None:
        try:
            self._read += os.read(self._master, 65536)
        except OSError:  # the other end is closed
            asyncio.get_running_loop().remove_reader(self._master)

    async def shows(self, text: str) -> None:
        """Wait for ``text``; what came before it is not looked at again."""

        def found() -> bool:
            at = self._read.find(text.encode())
            if at >= 0:
                del self._read[: at + len(text)]
            return at >= 0

        await eventually(found, seconds=_PATIENCE)

    def types(self, text: str) -> None:
        os.write(self._master, text.encode())

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    async def ended(self) -> int:
        return await asyncio.wait_for(self._process.wait(), _PATIENCE)
