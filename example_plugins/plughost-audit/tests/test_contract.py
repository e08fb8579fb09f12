"""What every plugin must do, this one does too."""

from __future__ import annotations

import pytest

from plughost.testing import PluginSuite
from plughost_audit import AuditPlugin


class TestAuditPlugin(PluginSuite):
    @pytest.fixture
    def plugin(self) -> type[AuditPlugin]:
        return AuditPlugin
