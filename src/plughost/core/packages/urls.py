"""Urls as they may be shown."""

from __future__ import annotations

import urllib.parse


def shown(url: str) -> str:
    """Return the url without what may be secret: user, password and query."""
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"
