"""``python -m gateway.store.migrations NAME``: write the revision that leads to the tables.

For those who have changed `gateway.store.tables`. It compares them with what the revisions make of
an empty database. Read what it writes, and think of the rows that are there already.
"""

import re
import sys
import tempfile
from pathlib import Path

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.migration import MigrationContext
from alembic.operations.ops import MigrationScript
from sqlalchemy import URL

from gateway.store.connections import make_plain_engine
from gateway.store.migrations import migrate
from gateway.store.tables import metadata

FOLDER = Path(__file__).parent / "versions"

_REVISION = '''"""{title}."""

import sqlalchemy as sa
from alembic import op

revision = {revision!r}
down_revision = {before!r}


def upgrade() -> None:
    """Take the step."""
{upgrade}


def downgrade() -> None:
    """Take it back."""
{downgrade}
'''


def difference(folder: Path) -> MigrationScript:
    """Return what is to be done after all revisions. ``folder`` is for a database."""
    url = URL.create("sqlite", database=str(folder / "empty.db"))
    migrate(url)
    engine = make_plain_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"render_as_batch": True})
        return produce_migrations(context, metadata)


def written(name: str, script: MigrationScript, last: str) -> tuple[str, str]:
    """Return the file name and text of the revision after ``last``."""
    revision = f"{int(last) + 1:04d}"
    assert script.upgrade_ops is not None
    assert script.downgrade_ops is not None
    text = _REVISION.format(
        title=name.replace("_", " ").capitalize(),
        revision=revision,
        before=last,
        upgrade=_code(script.upgrade_ops),
        downgrade=_code(script.downgrade_ops),
    )
    return f"{revision}_{name}.py", text


def _code(operations: object) -> str:
    text = render_python_code(operations, render_as_batch=True)  # type: ignore[arg-type]
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return "\n".join(f"    {line.removeprefix('    ')}".rstrip() for line in lines)


def main(argv: list[str]) -> int:
    """Write the revision. Exit code 2 for a wrong name."""
    if len(argv) != 1 or not re.fullmatch(r"[a-z][a-z0-9_]*", argv[0]):
        sys.stderr.write("usage: python -m gateway.store.migrations what_is_changed\n")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        script = difference(Path(folder))
    if script.upgrade_ops is None or script.upgrade_ops.is_empty():
        sys.stderr.write("the revisions lead to the tables already\n")
        return 0
    last = max(path.name[:4] for path in FOLDER.glob("[0-9]*.py"))
    file, text = written(argv[0], script, last)
    (FOLDER / file).write_text(text, encoding="utf-8")
    sys.stderr.write(f"{FOLDER / file}: read it, then run ruff format\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
