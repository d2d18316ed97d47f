"""A gateway starts without what only some gateways, commands or rare requests need."""

import subprocess
import sys

import pytest

from tests.harness import ROOT

HEAVY = ("alembic", "asyncpg", "cryptography", "sqlalchemy.dialects.postgresql")


@pytest.fixture(scope="module")
def imported() -> set[str]:
    """Return the modules of a process that has imported the gateway as ``callfarm serve`` does."""
    code = "import sys, gateway.cli.app, gateway.server; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("name", HEAVY)
def test_what_few_gateways_need_is_imported_by_those_alone(name: str, imported: set[str]) -> None:
    assert "gateway.server" in imported
    assert name not in imported
