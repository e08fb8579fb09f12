"""The plugin's own settings: ``[plugins.database.config]``."""

from __future__ import annotations

from typing import Annotated

import msgspec

Limit = Annotated[float, msgspec.Meta(gt=0)]
Program = Annotated[str, msgspec.Meta(min_length=1)]


class DatabaseConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How databases are reached.

    Attributes:
        connect_timeout: Seconds until a server that does not answer is given up; on SQLite, how long an app's
            statement waits for a lock.
        lock_timeout: Seconds that migrations, copies and restorations wait for a lock.
        save_postgresql: Whether backups hold PostgreSQL databases; they need ``pg_dump``.
        pg_dump: Name or path of PostgreSQL's dump tool.
        pg_restore: Name or path of the tool for the way back.
    """

    connect_timeout: Limit = 10.0
    lock_timeout: Limit = 30.0
    save_postgresql: bool = True
    pg_dump: Program = "pg_dump"
    pg_restore: Program = "pg_restore"
