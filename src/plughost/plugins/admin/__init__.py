"""The first-party admin plugin: the API below ``/admin/api`` and the page at ``/admin/system``."""

from __future__ import annotations

from plughost.plugins.admin.config import AdminConfig
from plughost.plugins.admin.plugin import AdminPlugin

__all__ = ["AdminConfig", "AdminPlugin"]
