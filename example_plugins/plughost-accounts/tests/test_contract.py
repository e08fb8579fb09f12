"""What every plugin must do, this one does too."""

from __future__ import annotations

import pytest

from plughost.testing import PluginSuite
from plughost_accounts import AccountsPlugin


class TestAccountsPlugin(PluginSuite):
    @pytest.fixture
    def plugin(self) -> type[AccountsPlugin]:
        return AccountsPlugin


class TestAccountsPluginInItsOwnProcess(TestAccountsPlugin):
    @pytest.fixture
    def isolation(self) -> str:
        return "process"

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"
