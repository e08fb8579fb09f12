"""What every plugin must do, this one does too."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from plughost.plugins.cache import CachePlugin
from plughost.testing import PluginSuite
from plughost_dashboard.plugin import DashboardPlugin


class TestDashboardPlugin(PluginSuite):
    @pytest.fixture
    def plugin(self) -> type[DashboardPlugin]:
        return DashboardPlugin

    @pytest.fixture
    def companions(self) -> Sequence[object]:
        return [CachePlugin]
