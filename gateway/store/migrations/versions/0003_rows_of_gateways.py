"""Rows know which gateway has them; several may share a database."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_TABLES = ("calls", "recordings", "deliveries")


def upgrade() -> None:
    """Take the step."""
    op.create_table(
        "gateways",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("host", sa.String(length=64), nullable=True),
        sa.Column("seen", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gateways")),
    )
    for name in _TABLES:
        with op.batch_alter_table(name) as table:
            table.add_column(sa.Column("gateway", sa.String(length=40), nullable=True))


def downgrade() -> None:
    """Take it back."""
    for name in _TABLES:
        with op.batch_alter_table(name) as table:
            table.drop_column("gateway")
    op.drop_table("gateways")
