"""A hook of an application: ask a plugin to misbehave."""

from __future__ import annotations

from typing import Any

from plughost import hookspec


@hookspec(mode="first", timeout=10.0, on_error="isolate")
async def misbehave(how: str) -> Any:
    """Do something that no plugin should."""
