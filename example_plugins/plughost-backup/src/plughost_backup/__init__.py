"""A plugin that keeps backups: in a folder, by a schedule, with retention, and in emergencies."""

from __future__ import annotations

from plughost_backup.config import BackupConfig
from plughost_backup.plugin import BackupPlugin

__all__ = ["BackupConfig", "BackupPlugin"]
