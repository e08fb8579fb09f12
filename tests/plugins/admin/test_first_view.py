"""The first visitor of a page waits for no template: all are compiled while nobody looks, and once for the process."""

from importlib import resources

import anyio
import jinja2
import pytest

from plughost import Host, Plugin, hookimpl
from plughost.contracts import AdminPanel
from plughost.plugins import admin
from plughost.plugins.admin import AdminPlugin, rendering
from plughost.plugins.cache.plugin import CachePlugin

pytestmark = pytest.mark.anyio
TEMPLATES = {one.name for one in resources.files(admin).joinpath("templates").iterdir()}
PANEL = "{% call part('length') %}{{ data.length }}{% endcall %}"


class Shelf(Plugin):
    name = "shelf"

    @hookimpl
    def register_admin_panels(self):
        return [
            AdminPanel(name="shelf", title="Shelf", data=lambda: {"length": 7}, scope="x", template=PANEL)
        ]


@pytest.fixture
def compiled(monkeypatch):
    """The names and texts of what was compiled in this test."""
    found = []
    real = jinja2.Environment.compile

    def compile_(self, source, name=None, *args, **options):
        found.append(name or source)
        return real(self, source, name, *args, **options)

    monkeypatch.setattr(jinja2.Environment, "compile", compile_)
    if (kept := getattr(rendering, "_COMPILED", None)) is not None:
        monkeypatch.setattr(kept, "_kept", {})
    return found


async def when_compiled(compiled):
    with anyio.fail_after(30):
        while not set(compiled) >= TEMPLATES:  # noqa: ASYNC110 - nothing else tells
            await anyio.sleep(0.01)


async def test_no_page_waits_for_its_template(serve, compiled):
    async with serve(AdminPlugin, CachePlugin) as served:
        async with served.client(token=served.token("*")) as client:
            assert (await client.get("/livez")).status_code == 200  # the routes are there
            await when_compiled(compiled)
            before = list(compiled)
            for tab in ("", "/plugins", "/cache", "/apps", "/health", "/trace", "/plugins/cache"):
                assert (await client.get(f"/admin/system{tab}")).status_code == 200
            assert (await client.get("/admin/sign-in")).status_code == 200
        assert compiled == before


async def test_a_reload_compiles_nothing_again(serve, compiled):
    async with serve(AdminPlugin) as served, served.client(token=served.token("*")) as client:
        await client.get("/livez")
        await when_compiled(compiled)
        await served.host.reload_plugin("admin")
        assert (await client.get("/admin/system")).status_code == 200
        assert sorted(compiled) == sorted(TEMPLATES)


async def test_a_panel_is_compiled_once_however_often_it_is_looked_at(serve, compiled):
    async with serve(AdminPlugin, Shelf) as served, served.client(token=served.token("*")) as client:
        for _ in range(3):
            assert 'data-live="length">7<' in (await client.get("/admin/system/shelf")).text
        await client.get("/admin/system/shelf.live")
        assert compiled.count(PANEL) == 1


async def test_a_host_without_http_compiles_nothing(tmp_path, compiled):
    async with Host(config={"host": {"data_dir": str(tmp_path), "allow": ["admin"]}}, environ={}) as host:
        assert host.ready
        await anyio.sleep(0.3)
    assert compiled == []
