"""What every plugin must do, this one does too."""

from __future__ import annotations

import pytest

from plughost.testing import PluginSuite
from plughost_access_control import AccessControlPlugin


class TestAccessControlPlugin(PluginSuite):
    @pytest.fixture
    def plugin(self) -> type[AccessControlPlugin]:
        return AccessControlPlugin


class TestAccessControlPluginInItsOwnProcess(TestAccessControlPlugin):
    @pytest.fixture
    def isolation(self) -> str:
        return "process"

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "trio"
