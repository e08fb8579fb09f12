"""What every plugin must do, this one does too."""

from __future__ import annotations

import pytest

from plughost.testing import PluginSuite
from plughost_media import MediaPlugin


class TestMediaPlugin(PluginSuite):
    @pytest.fixture
    def plugin(self) -> type[MediaPlugin]:
        return MediaPlugin


class TestMediaPluginInItsOwnProcess(TestMediaPlugin):
    @pytest.fixture
    def isolation(self) -> str:
        return "process"

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"
