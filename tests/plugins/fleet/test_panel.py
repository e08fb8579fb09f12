"""`/admin/system/fleet`: the whole fleet on the admin page of each of its hosts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from plughost import Host, Plugin, PluginContext
from plughost.contracts import Fleet
from plughost.plugins.admin import AdminPlugin
from plughost.plugins.fleet import FleetPlugin
from serving import serve

__all__ = ["serve"]

pytestmark = pytest.mark.anyio
PAGE = {"Accept": "text/html"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Lamp(Plugin):
    name = "lamp"
    version = "1.2"

    async def start(self, context: PluginContext) -> None:
        context.every(1000, print, name="dust", scope="fleet")


def second(folder: Path) -> Host:
    """Another host in the same fleet, without the lamp."""
    config = {
        "host": {"data_dir": str(folder / "other"), "allow": ["fleet"]},
        "plugins": {"fleet": {"config": {"path": str(folder / "fleet.db"), "member_name": "<b>south"}}},
    }
    return Host("test", config=config, environ={})


async def test_hosts_plugins_and_jobs_are_seen_on_one_page_what_differs_first(
    serve: Any, tmp_path: Path
) -> None:
    fleet = (FleetPlugin, {"path": str(tmp_path / "fleet.db"), "member_name": "north"})
    async with serve(fleet, Lamp, AdminPlugin) as served, served.client() as client:
        async with second(tmp_path):
            await anyio.sleep(0.5)  # what it told of itself has arrived
            code = served.app.runtime.sign_ins.make_link_code()
            await client.get("/admin/sign-in", params={"code": code})
            answer = await client.get("/admin/system/fleet", headers=PAGE)
            assert answer.status_code == 200
            page = answer.text
        assert "north" in page
        assert "&lt;b&gt;south" in page
        assert "<b>south" not in page
        assert "differs" in page
        rows = re.findall(r'data-label="Plugin">(\w+)', page)
        assert rows.index("lamp") < rows.index("cache")
        assert "lamp:dust" in page


async def test_a_button_changes_a_plugin_on_all_hosts_for_those_who_may(serve: Any, tmp_path: Path) -> None:
    fleet = (FleetPlugin, {"path": str(tmp_path / "fleet.db"), "member_name": "north"})
    async with serve(fleet, Lamp, AdminPlugin) as served:
        async with served.client(token=served.token("fleet:read")) as reader:
            page = (await reader.get("/admin/system/fleet", headers=PAGE)).text
            assert "lamp" in page
            assert 'formaction="fleet/disable"' not in page
            refused = await reader.post("/admin/system/fleet/disable", data={"plugin": "lamp"})
            assert refused.status_code == 403
        async with served.client(token=served.token("fleet:read", "fleet:write")) as writer:
            page = (await writer.get("/admin/system/fleet", headers=PAGE)).text
            assert 'formaction="fleet/disable"' in page
            answer = await writer.post("/admin/system/fleet/disable", data={"plugin": "lamp"})
            assert answer.status_code < 400
            with anyio.fail_after(60):
                while str(served.host.plugins["lamp"].state) != "disabled":  # noqa: ASYNC110
                    await anyio.sleep(0.02)
            page = (await writer.get("/admin/system/fleet", headers=PAGE)).text
            assert "disable lamp" in page
        assert served.host.use(Fleet).member.connected
