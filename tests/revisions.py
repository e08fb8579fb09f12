"""Folders of Alembic revisions, written for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

REVISION = """
import sqlalchemy as sa
from alembic import op

revision = {revision!r}
down_revision = {down!r}


def upgrade():
    op.create_table(
        "{table}", sa.Column("id", sa.Integer, primary_key=True), sa.Column("text", sa.String(50))
    )
    {up}


def downgrade():
    {back}
    op.drop_table("{table}")
"""


def write_revisions(
    folder: Path, names: Sequence[str], *, up: str = "pass", back: str = "pass", prefix: str = ""
) -> str:
    """Write one revision per name, each making a table ``PREFIX_NAME``; ``up`` and ``back`` go into the last.

    Returns:
        The folder, as configurations name it.
    """
    versions = folder / "versions"
    versions.mkdir(parents=True, exist_ok=True)
    down: str | None = None
    for name in names:
        last = name == names[-1]
        text = REVISION.format(
            revision=name,
            down=down,
            table=f"{prefix or folder.name}_{name}",
            up=up if last else "pass",
            back=back if last else "pass",
        )
        (versions / f"{name}.py").write_text(text)
        down = name
    return str(folder)
