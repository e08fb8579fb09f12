"""What every plugin must do, this one does too."""

from __future__ import annotations

import pytest

from plughost.testing import PluginSuite
from plughost_upstream.plugin import UpstreamPlugin


class TestUpstreamPlugin(PluginSuite):
    @pytest.fixture
    def plugin(self) -> type[UpstreamPlugin]:
        return UpstreamPlugin
