"""What ``await host.status()`` tells: the whole host in figures and names."""

from __future__ import annotations

from collections.abc import Mapping

from plughost._dataclasses import dataclass
from plughost.contracts.apps import AppRecord
from plughost.contracts.records import PluginRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginCounts:
    """How many plugins there are.

    Attributes:
        total: Found.
        enabled: Neither disabled nor blocked nor skipped.
        ready: Running; those that are degraded count.
        failed: Failed, incompatible or in quarantine.
    """

    total: int
    enabled: int
    ready: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStatus:
    """A host at one moment.

    Attributes:
        name: Name of the host.
        counts: How many plugins there are.
        ready: Whether it runs and every required plugin does.
        plugins: A record of each, by name.
        apps: The registered apps, by name.
        app_errors: Why configured apps were not registered, by name.
        hooks: Name of each declared hook to the plugins that implement it, in call order.
    """

    name: str
    ready: bool
    counts: PluginCounts
    plugins: Mapping[str, PluginRecord]
    apps: Mapping[str, AppRecord]
    app_errors: Mapping[str, str]
    hooks: Mapping[str, tuple[str, ...]]
