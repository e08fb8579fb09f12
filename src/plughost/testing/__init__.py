"""Helpers for the tests of plugin authors and embedding applications.

With plughost installed pytest has the fixtures ``host``, ``make_host``, ``make_plugin``, ``host_client``,
``hook_recorder``, ``frozen_clock``, ``faults`` and ``redis_url``. What they hand out, and the contract suites for
plugins, session stores, cache backends and fleet stores, is here. Names are looked up when they are first used, so
that pytest can load the fixtures without importing plughost.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plughost.testing.clock import FakeClock
    from plughost.testing.distributions import MadeDistribution, make_distribution
    from plughost.testing.hosts import HostMaker, client_of, running
    from plughost.testing.making import MadePlugin, PluginMaker, making_plugins
    from plughost.testing.recording import HookRecorder, RecordedCall
    from plughost.testing.servers import NoRedisServerError, redis_server
    from plughost.testing.suites.bytes_store import BytesStoreSuite
    from plughost.testing.suites.cache_backend import CacheBackendSuite, CacheValuesSuite
    from plughost.testing.suites.fleet_store import FleetStoreSuite
    from plughost.testing.suites.plugin import PluginSuite
    from plughost.testing.suites.session_store import (
        SessionFiguresSuite,
        SessionLoginSuite,
        SessionMoveSuite,
        SessionPurgeSuite,
        SessionStoreSuite,
    )

__all__ = [
    "BytesStoreSuite",
    "CacheBackendSuite",
    "CacheValuesSuite",
    "FakeClock",
    "FleetStoreSuite",
    "HookRecorder",
    "HostMaker",
    "MadeDistribution",
    "MadePlugin",
    "NoRedisServerError",
    "PluginMaker",
    "PluginSuite",
    "RecordedCall",
    "SessionFiguresSuite",
    "SessionLoginSuite",
    "SessionMoveSuite",
    "SessionPurgeSuite",
    "SessionStoreSuite",
    "client_of",
    "make_distribution",
    "making_plugins",
    "redis_server",
    "running",
]

_HOMES = {
    "BytesStoreSuite": "suites.bytes_store",
    "CacheBackendSuite": "suites.cache_backend",
    "CacheValuesSuite": "suites.cache_backend",
    "FakeClock": "clock",
    "FleetStoreSuite": "suites.fleet_store",
    "HookRecorder": "recording",
    "HostMaker": "hosts",
    "MadeDistribution": "distributions",
    "MadePlugin": "making",
    "NoRedisServerError": "servers",
    "PluginMaker": "making",
    "PluginSuite": "suites.plugin",
    "RecordedCall": "recording",
    "SessionFiguresSuite": "suites.session_store",
    "SessionLoginSuite": "suites.session_store",
    "SessionMoveSuite": "suites.session_store",
    "SessionPurgeSuite": "suites.session_store",
    "SessionStoreSuite": "suites.session_store",
    "client_of": "hosts",
    "make_distribution": "distributions",
    "making_plugins": "making",
    "redis_server": "servers",
    "running": "hosts",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"plughost.testing.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted((*globals(), *__all__))
