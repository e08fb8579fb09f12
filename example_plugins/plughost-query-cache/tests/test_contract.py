"""What every plugin must do, this one does too."""

from __future__ import annotations

import pytest

from plughost.testing import PluginSuite
from plughost_query_cache import QueryCachePlugin


class TestQueryCachePlugin(PluginSuite):
    @pytest.fixture
    def plugin(self) -> type[QueryCachePlugin]:
        return QueryCachePlugin
