"""What every plugin must do, this one does too."""

from __future__ import annotations

import pytest

from plughost.testing import PluginSuite
from plughost_vault.plugin import VaultPlugin


class TestVaultPlugin(PluginSuite):
    @pytest.fixture
    def plugin(self) -> type[VaultPlugin]:
        return VaultPlugin
