"""`/admin/system/fleet`: the whole fleet on the admin page of each of its hosts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from plughost import Host, Plugin, PluginContext
from plughost.contracts import Fleet
from plughost.exceptions import StoreUnavailableError
from plughost.plugins.admin import AdminPlugin
from plughost.plugins.fleet import FleetPlugin
from plughost.plugins.fleet.stores.sqlite import SqliteFleetStore
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
        rows = re.findall(r'data-label="Plugin"><strong>(\w+)', page)
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


async def test_the_whole_fleet_is_read_and_changed_through_the_api_of_any_host(
    serve: Any, tmp_path: Path
) -> None:
    given = {"path": str(tmp_path / "fleet.db"), "member_name": "north", "address": "north.test:8000"}
    async with serve((FleetPlugin, given), Lamp, AdminPlugin) as served:
        async with served.client(token=served.token("fleet:read")) as reader:
            (target,) = (await reader.get("/admin/api/fleet/targets")).json()
            assert target["targets"] == ["north.test:8000"]
            assert target["labels"]["__meta_plughost_members"] == "north"
            assert (await reader.get("/admin/api/fleet/hosts")).json()["hosts"][0][
                "address"
            ] == "north.test:8000"
            status = (await reader.get("/admin/api/fleet")).json()
            assert (status["store"], status["members"]) == ("sqlite", {"alive": 1})
            (host,) = (await reader.get("/admin/api/fleet/hosts")).json()["hosts"]
            assert (host["id"], host["connected"]) == ("north", True)
            assert (await reader.get("/admin/api/fleet/rollouts/7")).status_code == 404
            assert (await reader.post("/admin/api/fleet/plugins/lamp/disable")).status_code == 403
            assert (await reader.post("/admin/api/fleet/jobs/lamp:dust/run")).status_code == 403
        async with served.client(token=served.token("fleet:*")) as writer:
            unknown = await writer.post("/admin/api/fleet/rollouts/abc/abort")
            assert (unknown.status_code, "'abc'" in unknown.json()["detail"]) == (409, True)
            pressed = await writer.post("/admin/system/fleet/abort")
            assert pressed.status_code < 400
            jobs = "/admin/api/fleet/jobs"
            assert (await writer.post(f"{jobs}/nobody:knows/run")).status_code == 409
            with anyio.fail_after(60):
                while (asked := await writer.post(f"{jobs}/lamp:dust/run")).status_code != 200:  # noqa: ASYNC110
                    await anyio.sleep(0.05)  # the host has not told of its job yet
                while not (job := (await writer.get("/admin/api/fleet")).json()["jobs"][0])["starts"]:  # noqa: ASYNC110
                    await anyio.sleep(0.05)
            assert (asked.json()["job"], job["job"], job["starts"]) == ("lamp:dust", "lamp:dust", 1)
            path = "/admin/api/fleet/plugins/lamp"
            assert (await writer.post(f"{path}/explode", json={})).status_code == 404
            assert (
                await writer.post(f"{path}/configure", json={"config": {"token": "x"}})
            ).status_code == 409
            assert (await writer.post(f"{path}/disable", json={"expect": 41})).status_code == 409
            assert (await writer.post(f"{path}/disable", json={"plan": {"batch": "no"}})).status_code == 409
            given = {"reason": "it flickers", "plan": {"settle": 600.0}}
            made = (await writer.post(f"{path}/disable", json=given)).json()
            assert (made["revision"], made["state"]) == (1, "proposed")
            page = (await writer.get("/admin/system/fleet", headers=PAGE)).text
            assert re.search(r"Waits for (the host that takes it further|north to )", page)
            held = (await writer.post("/admin/api/fleet/rollouts/1/abort")).json()
            assert held["state"] in ("reverting", "reverted")
            with anyio.fail_after(60):
                while (await writer.get("/admin/api/fleet/rollouts/1")).json()["state"] != "reverted":  # noqa: ASYNC110
                    await anyio.sleep(0.05)
            page = (await writer.get("/admin/system/fleet", headers=PAGE)).text
            assert "it was aborted" in page
            assert re.search(r'data-label="When">(now|[0-9]+ \w+ ago)<', page)
            (back, made) = (await writer.get("/admin/api/fleet/revisions")).json()["revisions"]
            assert 1.7e9 < made["made"] <= back["made"]
            assert (made["reason"], back["change"]) == (
                "it flickers",
                "back to revision 0: disable lamp went wrong",
            )


async def test_a_host_that_is_cut_off_says_so_on_its_page_and_shows_what_it_knows(
    serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: object) -> None:
        raise StoreUnavailableError("the fleet's server is on holiday")

    fleet = (FleetPlugin, {"path": str(tmp_path / "fleet.db"), "member_name": "north"})
    async with serve(fleet, Lamp, AdminPlugin) as served:
        with anyio.fail_after(60):
            while not served.host.use(Fleet).member.connected:  # noqa: ASYNC110
                await anyio.sleep(0.02)
        monkeypatch.setattr(SqliteFleetStore, "view", away)
        monkeypatch.setattr(SqliteFleetStore, "steering", away)
        async with served.client(token=served.token("fleet:*")) as client:
            answer = await client.get("/admin/system/fleet", headers=PAGE)
            assert answer.status_code == 200
            said = re.sub(r"<[^>]*>", "", answer.text)
            assert re.search(r"The store has said nothing for .*: the fleet&#39;s server is on holiday", said)
            assert re.search(r'data-label="Host"><strong>north<', answer.text)
            assert re.search(r'data-label="Plugin"><strong>lamp<', answer.text)
            for words in ("No change yet", "No plugin has a job"):
                assert words not in said
            for act, fields in (("reload", {"plugin": "lamp"}), ("drain", {"host": "north"}), ("pause", {})):
                pressed = await client.post(f"/admin/system/fleet/{act}", data=fields)
                assert pressed.status_code < 400, act
