"""What every plugin must do, this one does too."""

from __future__ import annotations

import pytest

from plughost.testing import PluginSuite
from plughost_images import ImagesPlugin


class TestImagesPlugin(PluginSuite):
    @pytest.fixture
    def plugin(self) -> type[ImagesPlugin]:
        return ImagesPlugin
