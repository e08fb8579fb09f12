"""A plugin with statistics that are computed before anybody asks, and what caches save."""

from __future__ import annotations

from plughost_dashboard.protocols import SourceUsage, Usage, UsageHour

__all__ = ["SourceUsage", "Usage", "UsageHour"]
