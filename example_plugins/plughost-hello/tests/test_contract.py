"""What every plugin must do, this one does too."""

from __future__ import annotations

import pytest

from plughost.testing import PluginSuite
from plughost_hello import HelloPlugin


class TestHelloPlugin(PluginSuite):
    @pytest.fixture
    def plugin(self) -> type[HelloPlugin]:
        return HelloPlugin
