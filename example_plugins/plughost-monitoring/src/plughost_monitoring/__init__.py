"""A plugin that watches: figures per app and hook, health answers, and an alert when too much fails."""

from __future__ import annotations

from plughost_monitoring.alerts import AlertCleared, AlertRaised
from plughost_monitoring.config import MonitoringConfig
from plughost_monitoring.figures import AppFigures, HookFigures
from plughost_monitoring.plugin import Monitor, MonitoringPlugin

__all__ = [
    "AlertCleared",
    "AlertRaised",
    "AppFigures",
    "HookFigures",
    "Monitor",
    "MonitoringConfig",
    "MonitoringPlugin",
]
