"""What the deployer can set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct


class BackupConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """``[plugins.backup.config]``.

    Attributes:
        directory: Folder for the archives; None is the plugin's own.
        schedule: Cron expression in local time, such as ``0 2 * * *``; empty for none.
        keep: How many archives stay; the oldest go first.
        before_unregistration: Save an app before it goes with a rollback; without that backup it stays.
        on_failure: Save everything when an operation on an app failed.
        max_age: Seconds after which the newest backup is too old for a passing health check; None for never.
    """

    directory: Path | None = None
    schedule: str = ""
    keep: Annotated[int, Meta(ge=1)] = 14
    before_unregistration: bool = True
    on_failure: bool = False
    max_age: Annotated[float, Meta(gt=0)] | None = None
