"""What every plugin must do, this one does too."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from plughost.testing import PluginSuite
from plughost_backup import BackupPlugin


class TestBackupPlugin(PluginSuite):
    @pytest.fixture
    def plugin(self) -> type[BackupPlugin]:
        return BackupPlugin

    @pytest.fixture
    def exempt_hooks(self) -> Iterable[str]:
        return ["store_backup"]  # it moves a file that must be there; test_backup.py does so


class TestBackupPluginInItsOwnProcess(TestBackupPlugin):
    @pytest.fixture
    def isolation(self) -> str:
        return "process"

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "trio"
