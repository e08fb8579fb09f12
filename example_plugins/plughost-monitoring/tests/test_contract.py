"""What every plugin must do, this one does too."""

from __future__ import annotations

import pytest

from plughost.testing import PluginSuite
from plughost_monitoring import MonitoringPlugin


class TestMonitoringPlugin(PluginSuite):
    @pytest.fixture
    def plugin(self) -> type[MonitoringPlugin]:
        return MonitoringPlugin
