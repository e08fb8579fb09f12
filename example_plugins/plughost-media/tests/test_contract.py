"""What every plugin must do, this one does too, in the host's process: what it saves cannot come from another."""

from __future__ import annotations

import pytest

from plughost.testing import PluginSuite
from plughost_media import MediaPlugin


class TestMediaPlugin(PluginSuite):
    @pytest.fixture
    def plugin(self) -> type[MediaPlugin]:
        return MediaPlugin
