"""A process that keeps records is killed at any moment: what was on the disk is not lost."""

import asyncio
import random
import subprocess
import sys
from pathlib import Path

from sqlalchemy import select

from gateway.store.engine import open_store
from gateway.store.tables import calls
from tests.harness import ROOT

_SCRIBE = """
import asyncio, sys
from pathlib import Path
from gateway.store.engine import open_store
from gateway.store.store import Upsert
from gateway.store.writer import WriterLimits

async def main(folder, first):
    limits = WriterLimits(gather=0.003, batch=20, first_retry=0.01, last_retry=0.03, patience=0.5)
    store = await open_store(None, folder, limits=limits)
    print("open", flush=True)
    number = first
    while True:
        for _ in range(10):
            store.write(Upsert("calls", {"sid": f"CA{number:06d}", "began": float(number)}))
            number += 1
        if await store.flush(0.02):
            safe = number
        else:
            safe = number - store.statistics.writer.waiting
        # All before this one is in the database or in the journal.
        print(safe, flush=True)

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""

_LOCK = """
import sqlite3, sys, time, random
database = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
while True:
    database.execute("BEGIN EXCLUSIVE")
    time.sleep(random.uniform(0.05, 0.3))
    database.execute("COMMIT")
    time.sleep(random.uniform(0.05, 0.3))
"""


async def _life(folder: Path, first: int, seconds: float) -> int:
    """Run a scribe that begins at ``first`` and kill it; return up to where it was safe."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _SCRIBE, str(folder), str(first)),
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    await process.stdout.readline()
    await asyncio.sleep(seconds)
    process.kill()
    rest = await process.stdout.read()
    await process.wait()
    # The last line may be torn.
    told = [int(line) for line in rest.decode().splitlines(keepends=True)[:-1]]
    return max([first, *told])


async def test_whatever_was_safe_is_there_after_kills_and_locks(tmp_path: Path) -> None:
    dice = random.Random(7)
    store = await open_store(None, tmp_path)
    await store.aclose()
    locker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _LOCK, str(tmp_path / "callfarm.db")
    )
    first, promised = 0, set[int]()
    try:
        for _ in range(5):
            safe = await _life(tmp_path, first, dice.uniform(0.2, 0.9))
            promised |= set(range(first, safe))
            first = safe + 1000
    finally:
        locker.kill()
        await locker.wait()
    store = await open_store(None, tmp_path)
    assert await store.flush(60)
    kept = {int(row["sid"][2:]) for row in await store.rows(select(calls.c.sid))}
    await store.aclose()
    assert len(promised) > 100
    assert promised <= kept, sorted(promised - kept)[:10]
    assert not (tmp_path / "refused-records.jsonl").exists()
