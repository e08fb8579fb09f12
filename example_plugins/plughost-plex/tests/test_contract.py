"""What every plugin must do, this one does too."""

from __future__ import annotations

import pytest

from plughost.testing import PluginSuite
from plughost_plex.plugin import PlexPlugin


class TestPlexPlugin(PluginSuite):
    @pytest.fixture
    def plugin(self) -> type[PlexPlugin]:
        return PlexPlugin
