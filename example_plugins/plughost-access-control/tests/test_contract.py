"""What every plugin must do, this one does too."""

from __future__ import annotations

import pytest

from plughost.testing import PluginSuite
from plughost_access_control import AccessControlPlugin


class TestAccessControlPlugin(PluginSuite):
    @pytest.fixture
    def plugin(self) -> type[AccessControlPlugin]:
        return AccessControlPlugin
