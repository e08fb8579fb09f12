"""What is offered fits the state of a plugin, and nothing that is said contradicts what stands below it."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urljoin

import anyio
import pytest

from plughost import Plugin, PluginContext
from plughost.contracts import PluginState, PluginStateChanged
from plughost.exceptions import PluginStartError
from plughost.plugins.admin import AdminPlugin

pytestmark = pytest.mark.anyio
PAGE = {"Accept": "text/html"}


class Lamp(Plugin):
    name = "lamp"


class Broken(Plugin):
    name = "broken"

    async def start(self, context: PluginContext) -> None:
        raise RuntimeError("no licence found")


class Crashy(Plugin):
    """Starts, and then its task crashes: at once, or when it is told to."""

    name = "crashy"
    wait: anyio.Event | None = None

    async def start(self, context: PluginContext) -> None:
        context.spawn(self.work)

    async def work(self) -> None:
        if Crashy.wait is not None:
            await Crashy.wait.wait()
        raise RuntimeError("the queue is gone")


@pytest.fixture
async def page(serve):
    async with (
        serve(AdminPlugin, Lamp, config={"plugins": {"lamp": {}}}) as served,
        served.client(token=served.token("*")) as client,
    ):
        client.headers.update(PAGE)
        client.served = served
        yield client


def offered(text: str, plugin: str) -> list[str]:
    """Return which forms the page has for a plugin."""
    forms = re.findall(
        r'action="plugins/([\w-]+)" class="act">\s*<input type="hidden" name="name" value="(\S+?)">', text
    )
    return [action for action, name in forms if name == plugin]  # fmt: skip


async def shown(page: Any) -> str:
    return (await page.get("/admin/system/plugins")).text


async def test_a_running_plugin_can_be_reloaded_unloaded_and_disabled(page):
    assert offered(await shown(page), "lamp") == ["reload", "unload", "disable"]


async def test_the_plugin_of_the_page_can_only_be_reloaded_there(page):
    assert offered(await shown(page), "admin") == ["reload"]


async def test_an_unloaded_plugin_can_be_loaded_or_disabled(page):
    await page.served.host.unload_plugin("lamp")
    assert offered(await shown(page), "lamp") == ["load", "disable"]


async def test_a_disabled_plugin_can_be_enabled_and_is_not_offered_to_be_loaded(page):
    await page.served.host.disable_plugin("lamp")
    assert offered(await shown(page), "lamp") == ["enable"]


async def test_a_failed_plugin_can_be_reloaded_or_disabled(page):
    with pytest.raises(PluginStartError):
        await page.served.host.load_plugin(Broken)
    assert offered(await shown(page), "broken") == ["reload", "disable"]


async def test_every_action_that_is_offered_is_one_the_host_does_not_refuse(page):
    """Press each in each state: none may be answered with a conflict about that state."""
    host = page.served.host
    for prepare, name in (
        (None, "reload"),
        (host.unload_plugin, "load"),
        (host.unload_plugin, "disable"),
        (None, "enable"),
    ):
        if prepare is not None:
            await prepare("lamp")
        assert name in offered(await shown(page), "lamp")
        answer = await page.post(f"/admin/api/plugins/lamp/{name}")
        assert answer.status_code == 200, (name, answer.text)


async def test_loading_a_disabled_plugin_is_a_conflict_that_names_the_way(page):
    await page.served.host.disable_plugin("lamp")
    answer = await page.post("/admin/api/plugins/lamp/load", headers={"Accept": "application/json"})
    assert answer.status_code == 409
    assert "enable" in answer.json()["detail"]
    assert page.served.host.plugin("lamp").state is PluginState.DISABLED


async def test_enabling_needs_a_scope_of_its_own_and_its_button_is_left_out_without_it(page):
    await page.served.host.disable_plugin("lamp")
    async with page.served.client(token=page.served.token("plugins:read", "plugins:write")) as operator:
        assert (await operator.post("/admin/api/plugins/lamp/enable")).status_code == 403
        assert offered((await operator.get("/admin/system/plugins", headers=PAGE)).text, "lamp") == []


async def test_a_plugin_that_crashes_at_once_is_not_said_to_have_started_well(page):
    await page.served.host.load_plugin(Crashy)
    await page.served.host.unload_plugin("crashy")
    told = (await page.post("/admin/api/plugins/crashy/load")).json()
    assert not told["confirmed"]
    assert "confirmed." not in told["done"].replace("not confirmed", "")


async def test_what_was_confirmed_is_not_shown_above_a_crash_that_came_since(page, monkeypatch):
    monkeypatch.setattr(Crashy, "wait", anyio.Event())
    host = page.served.host
    await host.load_plugin(Crashy)
    done = await page.post("/admin/system/plugins/reload", data={"name": "crashy"})
    crashed = anyio.Event()
    host.events.subscribe(PluginStateChanged, lambda _: crashed.set())
    Crashy.wait.set()
    with anyio.fail_after(10):
        await crashed.wait()
    text = (await page.get(urljoin(str(done.url), done.headers["location"]))).text
    notice = re.search(r'<div class="notice (\w+)"[^>]*>([^<]*)', text)
    assert notice is not None
    assert notice[1] == "bad"
    assert "confirmed" not in notice[2]


async def test_the_head_of_the_page_does_not_say_ready_alone_above_failures(page):
    assert '<span data-live="standing">ready</span>' in await shown(page)
    with pytest.raises(PluginStartError):
        await page.served.host.load_plugin(Broken)
    assert '<span data-live="standing">ready, 1 plugin failed</span>' in await shown(page)
