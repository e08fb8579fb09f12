"""The demo: fakes on loopback, and a host with the whole suite in front of them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn

from plughost import Host
from plughost.http import HttpSettings, create_app
from plughost_media.by_genre import ByGenrePlugin
from plughost_media.demo_service import DemoPlugin
from plughost_media.fakes import (
    FakePlexServer,
    FakePlexTv,
    FakeTmdb,
    FakeUpstream,
    Kind,
    Served,
    listening,
    serving,
)
from plughost_media.fakes.films import FILMS
from plughost_media.fakes.library import Library
from plughost_media.fakes.plex_tv import Connection
from plughost_media.plugin import PARTS

_SHARED_KEY = "shared-tmdb-key"
OWN_KEY = "own-read-token-of-the-demo"
"""A key that the fake of TMDB takes, for the form of the page."""


class DemoFakes:
    """TMDB, plex.tv, a server at home and one that only a relay reaches, as in somebody's house."""

    def __init__(self) -> None:
        self.tmdb, self.plex_tv = FakeTmdb(keys=[_SHARED_KEY, OWN_KEY]), FakePlexTv()
        self.home = FakePlexServer("home", title="Home")
        self.far = FakePlexServer("far", title="Summer house", library=Library(FILMS[:7]))

    @property
    def all(self) -> tuple[FakeUpstream, ...]:
        """Every fake."""
        return (self.tmdb, self.plex_tv, self.home, self.far)

    def furnish(self, served: Served) -> None:
        """Share the servers, and let somebody watch."""
        ada, guest = self.plex_tv.accounts
        self.plex_tv.share(ada, self.home, [Connection(served[self.home])])
        self.plex_tv.share(ada, self.far, [Connection(served[self.far], "relay")])
        self.plex_tv.share(guest, self.home, [Connection(served[self.home], "remote")], owned=False)
        for number, title in enumerate(FILMS[4:12]):
            self.home.watch(ada.id, str(title.id), at=1_760_000_000 + number * 90_000)
        self.home.play(ada.id, "102")
        self.home.play(ada.id, "110", at=900_000)
        self.far.play(ada.id, "104")


def settings(served: Served, fakes: DemoFakes, folder: Path) -> dict[str, Any]:
    """Return the host's configuration: what the fakes stand for, and nothing of this machine's."""
    plex_tv, tmdb = served[fakes.plex_tv], served[fakes.tmdb]
    return {
        "host": {"name": "media", "data_dir": str(folder), "allow": [*PARTS, "admin"]},
        "plugins": {
            "sessions": {"config": {"store": "memory"}},
            "upstream": {"config": {"allowed_networks": ["127.0.0.1/32"]}},
            "tmdb": {
                "config": {"url": tmdb, "image_url": tmdb, "shared_key": _SHARED_KEY, "shared_rate": 20.0}
            },
            "plex": {
                "config": {"product": "plughost media", "plex_tv": plex_tv, "auth_page": f"{plex_tv}/auth"}
            },
        },
    }


@asynccontextmanager
async def demo_host(served: Served, fakes: DemoFakes, folder: Path) -> AsyncIterator[tuple[Host, Any]]:
    """Run the host of the demo; yields it with its application."""
    async with Host("media", config=settings(served, fakes, folder), environ={}) as host:
        await host.load_plugin(DemoPlugin(fakes.all))
        await host.load_plugin(ByGenrePlugin())
        limits = {"auth": 100, "read": 6000, "write": 600}
        app = create_app(host, settings=HttpSettings(environment="demo", rate_limits=limits))
        try:
            yield host, app
        finally:
            app.close()


async def run(port: int, trouble: Kind | None, say: Callable[[str], None]) -> None:
    """Serve the demo until somebody stops it.

    Args:
        port: Where; 0 takes a free one.
        trouble: What goes wrong with TMDB and the server at home from the beginning.
        say: Is told the address once the demo answers there.
    """
    fakes, folder = DemoFakes(), Path(tempfile.mkdtemp(prefix="plughost-media-"))
    try:
        with serving(*fakes.all) as served, listening(port) as listener:
            fakes.furnish(served)
            async with demo_host(served, fakes, folder) as (_host, app):
                if trouble is not None:
                    for fake in (fakes.tmdb, fakes.home):
                        fake.begin(trouble)
                server = uvicorn.Server(
                    uvicorn.Config(app, lifespan="off", log_config=None, timeout_graceful_shutdown=2)
                )
                say(f"http://127.0.0.1:{listener.getsockname()[1]}/media/")
                await server.serve([listener])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
