"""A cache of somebody else in the place of the first-party one: by reference, or as a plugin of its own name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from plughost import Host
from plughost.contracts import CacheManager
from plughost.testing.distributions import make_distribution

pytestmark = pytest.mark.anyio

SOURCE = """
from plughost import Plugin
from plughost.contracts import CacheManager
from plughost.plugins.cache.manager import NamedCaches


class Shelves(NamedCaches):
    pass


class ShelfPlugin(Plugin):
    async def start(self, context):
        context.provide(CacheManager, Shelves())
"""
BY_REFERENCE: dict[str, Any] = {"cache": {"module": "shelf_plugin:ShelfPlugin"}}
BESIDE: dict[str, Any] = {"cache": {"enabled": False}}


@pytest.fixture(params=["by reference", "by entry point"])
async def running(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Host]:
    by_reference = request.param == "by reference"
    points = {} if by_reference else {"plughost.plugins": {"shelf": "shelf_plugin:ShelfPlugin"}}
    make_distribution(
        tmp_path / "site", "acme-shelf", modules={"shelf_plugin.py": SOURCE}, entry_points=points
    )
    monkeypatch.syspath_prepend(tmp_path / "site")
    config = {
        "host": {"data_dir": str(tmp_path / "data")},
        "plugins": BY_REFERENCE if by_reference else BESIDE,
    }
    async with Host("acme", config=config, environ={"PLUGHOST_LOAD_PLUGINS": "cache,shelf"}) as host:
        yield host


async def test_whoever_asks_for_the_caches_gets_those(running: Host) -> None:
    caches = running.use(CacheManager)
    assert type(caches).__name__ == "Shelves"
    assert await caches.get("pages").get_or_set("k", lambda: 7) == 7
    assert await caches.get("pages").get("k") == 7
