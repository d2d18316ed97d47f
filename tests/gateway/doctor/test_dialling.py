"""The doctor says which gateway dials for the database."""

import asyncio
from pathlib import Path

from pydantic import SecretStr

from gateway.dialer.advisory_lock import AdvisoryLock
from gateway.dialer.file_lock import FileLock
from gateway.dialer.holder import Holder
from gateway.doctor import Finding, Status
from gateway.doctor.dialling import check_dialling
from gateway.store.connections import FILE, database_url
from shared.settings import Settings
from tests.gateway.store.postgres import own_server


def looked(folder: Path, url: str | None = None) -> Finding:
    """Return what the doctor says at a gateway of ``folder``."""
    written = None if url is None else SecretStr(url)
    (finding,) = check_dialling(Settings(data_dir=folder, database_url=written))
    return finding


def test_nobody_this_gateway_or_another_dials_for_an_sqlite_file(tmp_path: Path) -> None:
    assert looked(tmp_path).text == "no gateway dials for this database now"
    for holder, status in (
        (Holder.of(tmp_path), Status.OK),
        (Holder("alpha", 7, "other"), Status.WARN),
    ):
        lock = FileLock(tmp_path / FILE)
        assert asyncio.run(lock.take(holder, lambda: None))
        finding = looked(tmp_path)
        assert (finding.status, str(holder) in finding.text) == (status, True)
        asyncio.run(lock.release())
    assert looked(tmp_path).status is Status.OK


def test_another_gateway_dials_for_a_database_of_postgresql(tmp_path: Path) -> None:
    with own_server() as server:
        assert looked(tmp_path, server.url).status is Status.OK

        async def beside_another() -> Finding:
            lock = AdvisoryLock(database_url(server.url, tmp_path))
            assert await lock.take(Holder("alpha", 7, "other"), lambda: None)
            try:
                return await asyncio.to_thread(looked, tmp_path, server.url)
            finally:
                await lock.release()

        finding = asyncio.run(beside_another())
        assert finding.status is Status.WARN
        assert "process 7 on alpha" in finding.text
