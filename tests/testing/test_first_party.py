"""The plugins that come with plughost do what every plugin must do."""

from __future__ import annotations

import pytest

from plughost.plugins.admin import AdminPlugin
from plughost.plugins.cache import CachePlugin
from plughost.plugins.database import DatabasePlugin
from plughost.plugins.sessions import SessionsPlugin
from plughost.testing import PluginSuite


class TestAdmin(PluginSuite):
    @pytest.fixture
    def plugin(self) -> type[AdminPlugin]:
        return AdminPlugin


class TestCache(PluginSuite):
    @pytest.fixture
    def plugin(self) -> type[CachePlugin]:
        return CachePlugin


class TestDatabase(PluginSuite):
    @pytest.fixture
    def plugin(self) -> type[DatabasePlugin]:
        return DatabasePlugin


class TestSessions(PluginSuite):
    @pytest.fixture
    def plugin(self) -> type[SessionsPlugin]:
        return SessionsPlugin
