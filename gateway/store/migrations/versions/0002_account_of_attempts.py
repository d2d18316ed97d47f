"""Attempts know through which of the carrier's accounts they went."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Take the step."""
    with op.batch_alter_table("attempts") as attempts:
        attempts.add_column(sa.Column("account_sid", sa.String(length=64), nullable=True))


def downgrade() -> None:
    """Take it back."""
    with op.batch_alter_table("attempts") as attempts:
        attempts.drop_column("account_sid")
