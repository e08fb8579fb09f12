"""A host with the plugin in front of a fake TMDB, and clients of it who are signed in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2

from plughost import Host
from plughost.http import HostApplication, create_app
from plughost.plugins.cache import CachePlugin
from plughost.testing import FakeClock, HostMaker
from plughost_media.fakes import FakeTmdb, serving
from plughost_tmdb.plugin import TmdbPlugin
from plughost_upstream import Upstreams

SHARED, OWN = "shared-tmdb-canary", "own-tmdb-canary-k3y"


@dataclass
class Bench:
    """The parts."""

    host: Host
    app: HostApplication
    tmdb: FakeTmdb
    clock: FakeClock
    tokens: dict[str, str] = field(default_factory=dict)

    @asynccontextmanager
    async def client(self, user: str = "ada", *scopes: str) -> AsyncIterator[httpx2.AsyncClient]:
        """A client who is signed in; the same name is the same user."""
        if user not in self.tokens:
            self.tokens[user] = self.app.runtime.tokens.create(user, scopes or ("x:read",), 1e9)[0]
        transport = httpx2.ASGITransport(app=self.app, raise_app_exceptions=False)
        headers = {"Authorization": f"Bearer {self.tokens[user]}"}
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://test", headers=headers, timeout=60
        ) as client:
            yield client

    async def get(self, path: str, user: str = "ada", **options: Any) -> httpx2.Response:
        """Ask as a user."""
        async with self.client(user) as client:
            return await client.get(f"/api/tmdb/{path}", **options)

    async def all(self, *paths: str, user: str = "ada") -> list[httpx2.Response]:
        """Ask for all at once."""
        answers: dict[str, httpx2.Response] = {}

        async def one(path: str) -> None:
            answers[path] = await self.get(path, user)

        async with anyio.create_task_group() as tasks:
            for path in paths:
                tasks.start_soon(one, path)
        return [answers[path] for path in paths]

    def forgive(self) -> None:
        """Let the upstream begin anew: no breaker is open."""
        self.host.use(Upstreams).remove("tmdb")


@asynccontextmanager
async def bench(
    make_host: HostMaker, *, shared: bool = True, installed: bool = False, **settings: Any
) -> AsyncIterator[Bench]:
    """Run everything for the time of the block: on the test's clock, or as it is installed."""
    tmdb, clock = FakeTmdb(keys=[SHARED, OWN], rate=1000), FakeClock()
    with serving(tmdb) as served:
        url = served[tmdb]
        own: dict[str, Any] = {
            "url": url,
            "image_url": url,
            "shared_rate": 1000,
            "own_rate": 1000,
            "ceiling": 1000,
        }
        own |= ({"shared_key": SHARED} if shared else {}) | settings
        config = {
            "http": {"rate_limits": {"read": 100_000}},  # tests of load ask as often as they can
            "plugins": {
                "upstream": {"config": {"allowed_networks": ["127.0.0.1/32"]}},
                "tmdb": {"config": own},
            },
        }
        others = ("cache", "tmdb") if installed else ()
        async with make_host("upstream", "vault", *others, config=config) as host:
            if not installed:
                # nothing wakes while days pass
                await host.load_plugin(CachePlugin(clock), {"warm_interval": 1e9, "cleanup_interval": 1e9})
                await host.load_plugin(TmdbPlugin(clock), own)
            assert not host.report.failed
            app = create_app(host)
            try:
                yield Bench(host, app, tmdb, clock)
            finally:
                app.close()


async def until(condition: Callable[[], object]) -> None:
    """Return when it is so; it is not to take long."""
    with anyio.fail_after(20):
        while not condition():  # noqa: ASYNC110 # nothing tells when it becomes so
            await anyio.sleep(0.01)
