"""A host as an application has one, for the time of a measurement: with the named plugins and no others."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from plughost import Host


@asynccontextmanager
async def hosted(*plugins: str, tables: Mapping[str, Any] | None = None) -> AsyncIterator[Host]:
    """Run a host with plugins found through their entry points; ``tables`` are ``[plugins.NAME]`` by name."""
    with tempfile.TemporaryDirectory(prefix="plughost-bench-") as folder:
        names = [*plugins, *(tables or {})]
        config = {
            "host": {"allow": names, "required": names, "data_dir": folder},
            "plugins": dict(tables or {}),
        }
        async with Host("bench", config=config, environ={}) as host:
            if not host.ready:
                raise RuntimeError(str(host.report))
            yield host
