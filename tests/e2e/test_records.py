"""What remains of a call when the gateway is gone, whatever became of it and of the database."""

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from twilio.request_validator import RequestValidator

from gateway.store.call_rows import WholeCall
from gateway.store.engine import open_store
from gateway.store.records import CallBook
from tests.gateway.store.postgres import SERVER_URL, new_database
from tests.harness import ACCOUNT_SID, AUTH_TOKEN, RunningGateway, eventually, running_gateway


async def kept(url: str, sid: str) -> WholeCall:
    store = await open_store(url)
    try:
        found = await CallBook(store).call(sid)
    finally:
        await store.aclose()
    assert found is not None
    return found


async def call(gateway: RunningGateway) -> str:
    async with gateway.phone().dial() as it:
        await it.connected()
        await it.say(bytes(range(160)) * 10)
        await it.hangup()
        await it.ended()
        return it.sid


async def test_a_call_is_in_the_database_when_the_gateway_has_drained(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        sid = await call(gateway)
        gateway.signal(signal.SIGTERM)
        assert await gateway.ended() == 0
    file = tmp_path / "var/callfarm.db"
    assert file.stat().st_mode & 0o077 == 0
    it = (await kept(f"sqlite:///{file}", sid)).call
    assert (it.state, it.outcome, it.agent) == ("ended", "completed", "echo:Echo")
    assert it.exit == "exit code 0"
    assert it.began <= (it.answered or 0) <= (it.ended or 0)
    assert it.status == "completed"


@pytest.mark.skipif(not SERVER_URL, reason="TEST_POSTGRES_URL is not set")
async def test_a_call_is_in_postgresql(tmp_path: Path) -> None:
    async with new_database(SERVER_URL) as url:
        async with running_gateway(tmp_path, environment={"DATABASE_URL": url}) as gateway:
            sid = await call(gateway)
        assert (await kept(url, sid)).call.outcome == "completed"
    assert not (tmp_path / "var/callfarm.db").exists()


async def test_a_call_of_a_killed_gateway_is_known_as_lost_after_the_next_start(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/var/callfarm.db"
    async with running_gateway(tmp_path) as gateway, gateway.phone().dial() as it:
        await it.connected()
        await eventually(lambda: _column(tmp_path, it.sid, "state") == "streaming")
        gateway.signal(signal.SIGKILL)
        await gateway.ended()
    assert (await kept(url, it.sid)).call.state == "streaming"
    async with running_gateway(tmp_path):
        await eventually(lambda: _outcome(tmp_path, it.sid) == "lost")


def _outcome(folder: Path, sid: str) -> str | None:
    with closing(sqlite3.connect(folder / "var/callfarm.db")) as database:
        row = database.execute("SELECT outcome FROM calls WHERE sid = ?", (sid,)).fetchone()
    return row[0] if row else None


_LOCK = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


async def test_calls_go_on_while_the_database_is_locked_and_are_kept_afterwards(
    tmp_path: Path,
) -> None:
    async with running_gateway(tmp_path) as gateway:
        locker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _LOCK, str(tmp_path / "var/callfarm.db")),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert locker.stdin is not None
        assert locker.stdout is not None
        await locker.stdout.readline()
        sids = [await call(gateway) for _ in range(3)]
        await eventually(lambda: "records cannot be written" in gateway.log_text())
        assert _outcome(tmp_path, sids[0]) is None
        locker.stdin.close()
        await locker.wait()
        await eventually(lambda: all(_outcome(tmp_path, sid) for sid in sids))
        await eventually(lambda: "records are written again" in gateway.log_text())
    assert gateway.log_text().count("records cannot be written") == 1
    assert [_outcome(tmp_path, sid) for sid in sids] == ["completed"] * 3


async def test_a_gateway_starts_and_takes_calls_without_its_database(tmp_path: Path) -> None:
    nowhere = "postgresql://callfarm:very-secret@127.0.0.1:1/callfarm"
    async with running_gateway(tmp_path, environment={"DATABASE_URL": nowhere}) as gateway:
        sid = await call(gateway)
        await eventually((tmp_path / "var/journal/00000001.log").exists)
        _, listed = await gateway.command("calls", "--all")
    assert sid in listed
    assert "The database is away or behind: some of these may be missing." in listed
    assert "the database is away" in gateway.log_text()
    assert "very-secret" not in gateway.log_text()
    assert gateway.process.returncode == 0


async def test_a_database_of_a_newer_callfarm_is_not_touched(tmp_path: Path) -> None:
    async with running_gateway(tmp_path):
        pass
    file = tmp_path / "var/callfarm.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    with pytest.raises(AssertionError, match="newer"):
        async with running_gateway(tmp_path):
            pass


async def test_webhooks_of_several_accounts_are_verified_with_their_own_tokens(
    tmp_path: Path,
) -> None:
    async with running_gateway(tmp_path) as gateway:
        theirs = {"name": "Acme", "account_sid": "AC" + "a" * 32, "auth_token": "acme-token"}
        made = await gateway.api("POST", "/api/companies", theirs)
        assert made.status_code == 201
        assert "acme-token" not in made.text
        answers: dict[tuple[str, str], int] = {}
        for token, account in (
            ("acme-token", "AC" + "a" * 32),
            ("acme-token", "AC" + "b" * 32),
            ("other-token", "AC" + "a" * 32),
            (AUTH_TOKEN, ACCOUNT_SID),
        ):
            form = {"CallSid": f"CA{len(answers):032x}", "AccountSid": account}
            form |= {"From": "+15550000001", "To": "+15550000002", "Direction": "inbound"}
            answers[token, account[2]] = await _posted(gateway, token, form)
            if answers[token, account[2]] == 200:
                await _hung_up(gateway, token, form)
        assert answers == {
            ("acme-token", "a"): 200,
            ("acme-token", "b"): 403,
            ("other-token", "a"): 403,
            (AUTH_TOKEN, ACCOUNT_SID[2]): 200,
        }
        await eventually(lambda: _column(tmp_path, "CA" + "0" * 32) == 1)
        await eventually(lambda: _column(tmp_path, f"CA{3:032x}", "account_sid") == ACCOUNT_SID)
    async with running_gateway(tmp_path) as gateway:
        # A call of long ago does not become theirs by their naming it.
        theirs_again = {**form, "CallSid": f"CA{9:032x}", "AccountSid": "AC" + "a" * 32}
        assert await _posted(gateway, "acme-token", theirs_again) == 200
        stolen = {**theirs_again, "CallSid": f"CA{3:032x}"}
        assert await _posted(gateway, "acme-token", stolen) == 403
        assert _column(tmp_path, f"CA{3:032x}", "account_sid") == ACCOUNT_SID
        await _hung_up(gateway, "acme-token", theirs_again)


async def _hung_up(gateway: RunningGateway, token: str, form: dict[str, str]) -> None:
    """End a call whose stream nobody opens: a gateway that stops would wait for that."""
    ended = {**form, "CallStatus": "completed"}
    assert await _posted(gateway, token, ended, "status") == 204


async def _posted(
    gateway: RunningGateway, token: str, form: dict[str, str], path: str = "voice"
) -> int:
    url = f"{gateway.url}/twilio/{path}"
    signature = RequestValidator(token).compute_signature(url, form)
    async with httpx2.AsyncClient() as client:
        headers = {"X-Twilio-Signature": signature}
        return (await client.post(url, data=form, headers=headers)).status_code


def _column(folder: Path, sid: str, column: str = "company_id") -> object:
    with closing(sqlite3.connect(folder / "var/callfarm.db")) as database:
        question = f"SELECT {column} FROM calls WHERE sid = ?"
        row = database.execute(question, (sid,)).fetchone()
    return row[0] if row else None


async def test_what_was_kept_is_exported_pruned_and_its_secrets_rotated(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, environment={"SECRET_KEY": "new,old"}) as gateway:
        theirs = {"name": "Acme", "account_sid": "AC" + "a" * 32, "auth_token": "acme-token"}
        await gateway.api("POST", "/api/companies", theirs)
        sid = await call(gateway)
        await eventually(lambda: _outcome(tmp_path, sid))
        file = tmp_path / "calls.csv"
        code, said = await gateway.command("export", "calls", "--since", "1h", "-o", str(file))
        assert (code, said.strip()) == (0, f"1 calls in {file}")
        assert sid in file.read_text()
        code, said = await gateway.command("export", "lines", "--format", "jsonl")
        assert (code, said) == (0, "")
        code, said = await gateway.command("rotate")
        assert (code, said.startswith("1 secrets")) == (0, True)
        code, said = await gateway.command("prune", "--older-than", "0d", "--dry-run")
        assert (
            code,
            said.startswith("1 calls, 0 recordings, 0 deliveries, 0 campaigns would go"),
        ) == (0, True)
        assert _outcome(tmp_path, sid)
        code, said = await gateway.command("prune", "--older-than", "0d")
        assert (code, "--yes" in said) == (2, True)  # everything: nobody is there to be asked
        code, said = await gateway.command("prune", "--older-than", "0d", "--yes", "--json")
        assert (code, json.loads(said)["calls"]) == (0, 1)
        assert _outcome(tmp_path, sid) is None
        code, said = await gateway.command("prune", "--older-than", "soon")
        assert (code, "write 90d" in said) == (2, True)
        told = (await gateway.api("GET", "/api/records")).json()
        assert told["writer"]["written"] > 0
        assert not told["writer"]["troubled"]
