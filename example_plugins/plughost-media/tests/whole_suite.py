"""All parts in one host in front of the fakes, with a browser in which Ada is signed in; for the tests here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from plughost import Host, Plugin
from plughost.http import create_app
from plughost_media.demo import DemoFakes, settings
from plughost_media.fakes import serving


class Suite:
    """The host, the fakes, and a browser in which Ada is signed in."""

    def __init__(self, host: Host, app: Any, fakes: DemoFakes, ada: httpx2.AsyncClient) -> None:
        self.host, self.app, self.fakes, self.ada = host, app, fakes, ada

    async def do(self, method: str, path: str, json: Any = None) -> httpx2.Response:
        """Change something."""
        answer = await self.ada.request(method, path, json=json or {}, headers={"Origin": "http://127.0.0.1"})
        assert answer.is_success, (path, answer.text)
        return answer

    @asynccontextmanager
    async def other_browser(self) -> AsyncIterator[httpx2.AsyncClient]:
        """Give one in which nobody has signed in."""
        transport = httpx2.ASGITransport(app=self.app, client=("127.0.0.1", 1), raise_app_exceptions=False)
        origin = {"Origin": "http://127.0.0.1"}
        async with httpx2.AsyncClient(
            transport=transport, base_url=origin["Origin"], headers=origin
        ) as client:
            yield client


@asynccontextmanager
async def running(folder: Path, *more: type[Plugin], **configs: dict[str, Any]) -> AsyncIterator[Suite]:
    """Run everything for the time of the block.

    Args:
        folder: Where its files are.
        more: Plugins beside.
        configs: More of the configuration of some plugins.
    """
    fakes = DemoFakes()
    with serving(*fakes.all) as served:
        fakes.furnish(served)
        config = settings(served, fakes, folder)
        for name, own in configs.items():
            of_plugin = config["plugins"].setdefault(name, {"config": {}})["config"]
            of_plugin.update(own)
        config["http"] = {"rate_limits": {"auth": 1000, "read": 100_000, "write": 10_000}}
        async with Host("media", config=config, environ={}) as host:
            for plugin in more:
                await host.load_plugin(plugin)
            assert not host.report.failed
            app = create_app(host)
            transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 1), raise_app_exceptions=False)
            async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as ada:
                suite = Suite(host, app, fakes, ada)
                begun = (await suite.do("POST", "/api/auth/plex")).json()
                code = begun["address"].partition("code=")[2].partition("&")[0]
                assert fakes.plex_tv.allow(code, fakes.plex_tv.accounts[0])
                assert (await ada.get(f"/api/auth/plex/{begun['handle']}")).status_code == 200
                yield suite
            app.close()
