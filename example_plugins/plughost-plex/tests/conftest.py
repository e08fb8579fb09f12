"""A host with the plugins that this one works with, fakes of plex.tv and of two servers, and a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from plughost import Host
from plughost.contracts import SYSTEM_CLOCK, Clock
from plughost.http import HttpSettings, create_app
from plughost.plugins.cache import CachePlugin
from plughost_media.fakes import FakePlexServer, FakePlexTv, serving
from plughost_media.fakes.plex_tv import Connection
from plughost_plex.plugin import PlexPlugin

PLUGINS = ["cache", "diskcache", "images", "plex", "sessions", "upstream", "vault"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # the fakes' clients work on both, the sessions of a browser are the same on both


@dataclass
class Fakes:
    """The upstreams: Ada owns ``home``; ``far`` is shared with her, and only a relay reaches it."""

    plex_tv: FakePlexTv
    home: FakePlexServer
    far: FakePlexServer
    addresses: dict[str, str]


@pytest.fixture(scope="session")
def served() -> Iterator[Fakes]:
    plex_tv, home, far = FakePlexTv(), FakePlexServer("home"), FakePlexServer("far")
    with serving(plex_tv, home, far) as addresses:
        yield Fakes(plex_tv, home, far, addresses.addresses)


@pytest.fixture
def fakes(served: Fakes) -> Fakes:
    """Return the fakes as they were on the first day: ports stay, state does not."""
    plex_tv, home, far = served.plex_tv, served.home, served.far
    plex_tv.__init__()  # type: ignore[misc]
    home.__init__("home", title="Home")  # type: ignore[misc]
    far.__init__("far", title="Far")  # type: ignore[misc]
    ada, guest = plex_tv.accounts
    plex_tv.share(ada, home, [Connection("http://127.0.0.1:9"), Connection(served.addresses["home"])])
    plex_tv.share(ada, far, [Connection(served.addresses["far"], "relay")], owned=False)
    plex_tv.share(guest, home, [Connection(served.addresses["home"], "remote")], owned=False)
    return served


class Browser:
    """A browser: keeps cookies."""

    def __init__(self, app: Any, fakes: Fakes) -> None:
        transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 1), raise_app_exceptions=False)
        self.client = httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1")
        self.fakes = fakes

    async def get(self, path: str, **options: Any) -> httpx2.Response:
        return await self.client.get(path, **options)

    async def post(self, path: str, json: Any = None) -> httpx2.Response:
        return await self.client.post(path, json=json or {}, headers={"Origin": "http://127.0.0.1"})

    async def put(self, path: str, json: Any) -> httpx2.Response:
        return await self.client.put(path, json=json, headers={"Origin": "http://127.0.0.1"})

    async def begin(self) -> dict[str, Any]:
        answer = await self.post("/api/auth/plex")
        assert answer.status_code == 201, answer.text
        begun: dict[str, Any] = answer.json()
        return begun

    async def sign_in(self, account: int = 0) -> httpx2.Response:
        begun = await self.begin()
        code = begun["address"].partition("code=")[2].partition("&")[0]
        assert self.fakes.plex_tv.allow(code, self.fakes.plex_tv.accounts[account])
        return await self.get(f"/api/auth/plex/{begun['handle']}")


@dataclass
class Suite:
    """The running host."""

    host: Host
    app: Any
    fakes: Fakes
    folder: Path

    def browser(self) -> Browser:
        return Browser(self.app, self.fakes)

    def token(self, *scopes: str) -> str:
        token: str = self.app.runtime.tokens.create("test", scopes, 3600)[0]
        return token


@asynccontextmanager
async def running(
    fakes: Fakes, folder: Path, clock: Clock | None = None, jobs: Clock = SYSTEM_CLOCK, **settings: Any
) -> AsyncIterator[Suite]:
    """Run everything for the time of the block; all grows old by the one clock, jobs are due by the other."""
    address = fakes.addresses["plextv"]
    allowed = [name for name in PLUGINS if clock is None or name not in ("cache", "plex")]
    plex = {
        "plex_tv": address,
        "auth_page": f"{address}/auth",
        "keep_warm": False,
        "patience": 30.0,
        **settings,
    }
    config = {
        "host": {"allow": allowed, "data_dir": str(folder / "data")},
        "plugins": {
            "sessions": {"config": {"store": "memory"}},
            "upstream": {"config": {"allowed_networks": ["127.0.0.1/32"]}},
            "plex": {"config": plex},
        },
    }
    async with Host("media", config=config, environ={}, clock=jobs) as host:
        assert set(allowed) <= set(host.report.loaded), host.report
        if clock is not None:  # nothing wakes while hours pass
            await host.load_plugin(CachePlugin(clock), {"warm_interval": 1e9, "cleanup_interval": 1e9})
            await host.load_plugin(PlexPlugin(clock), plex)
        app = create_app(
            host, settings=HttpSettings(rate_limits={"auth": 1000, "read": 10_000, "write": 1000})
        )
        yield Suite(host, app, fakes, folder)
        app.close()


@pytest.fixture
async def suite(fakes: Fakes, tmp_path: Path) -> AsyncIterator[Suite]:
    async with running(fakes, tmp_path) as suite:
        yield suite


@pytest.fixture
async def browser(suite: Suite) -> Browser:
    return suite.browser()


@pytest.fixture
async def ada(browser: Browser) -> Browser:
    answer = await browser.sign_in()
    assert answer.status_code == 200, answer.text
    return browser
