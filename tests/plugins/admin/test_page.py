"""The page without a browser: what a person without JavaScript gets."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urljoin

import anyio
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from plughost import Plugin, PluginContext, hookimpl
from plughost.contracts import AdminPanel, CacheManager, PanelAction, SessionManager
from plughost.exceptions import PluginStartError
from plughost.http import HttpSettings
from plughost.plugins.admin import AdminPlugin
from plughost.plugins.admin.charts import bars, line, milliseconds, span, waterfall
from plughost.plugins.admin.rendering import facts, facts_table, readable_bytes
from plughost.plugins.cache.plugin import CachePlugin
from plughost.plugins.sessions.plugin import SessionsPlugin

pytestmark = pytest.mark.anyio

TABS = ("sessions", "cache", "plugins", "apps", "health")
PAGE = {"Accept": "text/html"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Queue(Plugin):
    name = "queue"
    hang = False

    async def data(self) -> dict[str, Any]:
        if self.hang:
            await anyio.sleep_forever()
        return {"waiting": 3, "workers": {"mail": 1}, "note": "<script>alert(1)</script>"}

    def retry(self, fields: Any) -> str:
        return "3 letters queued again."

    def fail(self, fields: Any) -> str:
        raise RuntimeError("password=hunter2")

    @hookimpl
    def register_admin_panels(self) -> list[AdminPanel]:
        retry = PanelAction(name="retry", title="Retry", run=self.retry, scope="queue:write", confirm="Sure?")
        fail = PanelAction(name="fail", title="Fail", run=self.fail, scope="queue:write")
        return [
            AdminPanel(name="queue", title="Queue", data=self.data, scope="queue:read", actions=(retry, fail)),
            AdminPanel(
                name="own", title="Own", data=lambda: {"who": "<b>"}, scope="queue:read",
                template="{% call part('who') %}{{ data.who }}{% endcall %}",
            ),
            AdminPanel(name="cache", title="Impostor", data=dict, scope="queue:read"),
        ]  # fmt: skip


@pytest.fixture
async def page(serve):
    async with (
        serve(SessionsPlugin, CachePlugin, (AdminPlugin, {"panel_timeout": 0.2}), Queue) as served,
        served.client() as client,
    ):
        client.headers.update(PAGE)
        client.served = served
        await client.get("/admin/sign-in", params={"code": served.app.runtime.sign_ins.make_link_code()})
        yield client


class Broken(Plugin):
    name = "cache"

    async def start(self, context: PluginContext) -> None:
        raise RuntimeError("no `memory` left")


async def test_a_tab_whose_plugin_failed_says_why_and_leads_to_it(serve):
    async with serve(AdminPlugin) as served, served.client(token=served.token("*")) as client:
        with pytest.raises(PluginStartError):
            await served.host.load_plugin(Broken)
        failed = (await client.get("/admin/system/cache", headers=PAGE)).text
        assert "The plugin &#39;cache&#39; is not running (failed), so there is nothing" in failed
        assert "RuntimeError: no <code>memory</code> left" in failed
        assert '<a href="plugins/cache">To the plugin</a>' in failed
        absent = (await client.get("/admin/system/sessions", headers=PAGE)).text
        assert "The plugin &#39;sessions&#39; is not running (blocked), so" in absent


async def press(client: Any, tab: str, action: str, **fields: str) -> Any:
    """Submit a form of the page and follow to what it shows."""
    answer = await client.post(f"/admin/system/{tab}/{action}", data=fields)
    assert answer.status_code == 303
    return await client.get(urljoin(str(answer.url), answer.headers["location"]))


async def test_a_stranger_is_shown_the_door(serve):
    async with serve(AdminPlugin) as served, served.client() as client:
        answer = await client.get("/admin/system/plugins", headers=PAGE)
        assert answer.status_code == 401
        assert "plughost admin token create" in answer.text


async def test_the_link_leads_to_the_page_once(serve):
    async with serve(AdminPlugin) as served, served.client() as client:
        code = served.app.runtime.sign_ins.make_link_code()
        first = await client.get("/admin/sign-in", params={"code": code})
        assert (first.status_code, first.headers["location"]) == (303, "system")
        assert "HttpOnly" in first.headers["set-cookie"]
        assert (await client.get("/admin/system")).status_code == 200
        async with served.client() as thief:
            stolen = await thief.get("/admin/sign-in", params={"code": code})
            assert stolen.status_code == 401
            assert "used already" in stolen.text


async def test_a_prefetching_browser_does_not_use_the_link_up(serve):
    async with serve(AdminPlugin) as served, served.client() as client:
        code = served.app.runtime.sign_ins.make_link_code()
        assert (
            await client.get(f"/admin/sign-in?code={code}", headers={"Sec-Purpose": "prefetch"})
        ).status_code == 503
        assert (await client.get(f"/admin/sign-in?code={code}")).status_code == 303


async def test_a_token_signs_a_browser_in_with_what_the_token_may_do(serve):
    async with serve(AdminPlugin, CachePlugin) as served, served.client() as client:
        wrong = await client.post("/admin/sign-in", data={"token": "phk_nonsense"})
        assert wrong.status_code == 401
        token = served.token("cache:read")
        assert (await client.post("/admin/sign-in", data={"token": token})).status_code == 303
        text = (await client.get("/admin/system", headers=PAGE)).text
        assert re.findall(r'<a href="system/(\w+)"', text) == ["cache"]
        assert "Clear all" not in text
        assert (await client.get("/admin/system/plugins", headers=PAGE)).status_code == 403


async def test_signing_out_ends_it_on_the_server_too(page):
    cookie = page.cookies["plughost_test_admin"]
    assert (await page.post("/admin/sign-out")).headers["location"] == "sign-in"
    async with page.served.client(cookies={"plughost_test_admin": cookie}) as client:
        assert (await client.get("/admin/system", headers=PAGE)).status_code == 401


async def test_an_administrator_of_the_application_may_come_with_the_session(serve):
    settings = HttpSettings(role_scopes={"admin": ["*"]})
    async with serve(SessionsPlugin, AdminPlugin, settings=settings) as served:
        sessions = served.host.use(SessionManager)
        for roles, status in ((["admin"], 200), (["reader"], 403)):
            made = await sessions.create("7", username="ada", roles=roles)
            cookies = {"__Host-test_session": made.session_id}
            async with served.client(cookies=cookies, base="https://testserver") as client:
                assert (await client.get("/admin/system/plugins")).status_code == status


@pytest.mark.parametrize("tab", TABS)
async def test_every_tab_has_a_page_and_a_json_twin(page, tab):
    shown = await page.get(f"/admin/system/{tab}")
    assert shown.status_code == 200
    assert f"<h1>{tab.title()}</h1>" in shown.text
    assert f'href="{tab}" aria-current="page"' in shown.text
    twin = await page.get(f"/admin/system/{tab}.json")
    assert twin.headers["content-type"] == "application/json"
    assert "advice" in twin.json()


@pytest.mark.parametrize("tab", [*TABS, "queue", "own"])
async def test_no_page_has_inline_script_or_style_or_a_root_absolute_link(page, tab):
    text = (await page.get(f"/admin/system/{tab}")).text
    assert "<script>" not in text.replace("<script defer", "")
    assert not re.search(r"\sstyle=|\son\w+=|javascript:", text)
    assert not re.search(r'(href|src|action)="(/|https?:)', text)


async def test_the_environment_and_read_only_mode_are_on_the_page_and_buttons_are_not(serve):
    settings = HttpSettings(read_only=True, environment="staging")
    async with (
        serve(AdminPlugin, settings=settings) as served,
        served.client(token=served.token("*")) as client,
    ):
        text = (await client.get("/admin/system/plugins", headers=PAGE)).text
    assert ">staging</span>" in text
    assert ">read-only</span>" in text
    assert "Reload all" not in text


async def test_of_no_cache_nothing_can_be_asked_away_and_of_one_that_nobody_asked_no_rate_is_told(page):
    assert "cache/invalidate" not in (await page.get("/admin/system/cache")).text
    await page.served.host.use(CacheManager).get("films").set("a", 1)
    text = (await page.get("/admin/system/cache")).text
    assert 'action="cache/invalidate"' in text
    assert "0.0 %" not in text


async def test_an_action_is_a_form_that_says_what_it_did_once(page):
    cache = page.served.host.use(CacheManager).get("films")
    await cache.set("a", 1)
    shown = await press(page, "cache", "flush", cache="films")
    assert "Cache films cleared of 1 entry, confirmed." in shown.text
    assert "confirmed." not in (await page.get(str(shown.url))).text


async def test_an_action_that_fails_says_why(page):
    shown = await press(page, "cache", "invalidate", cache="nowhere", key="a")
    assert "There is no cache &#39;nowhere&#39;." in shown.text
    assert 'class="notice bad"' in shown.text
    assert "exactly one of key" in (await press(page, "cache", "invalidate", cache="default")).text


async def test_a_reload_of_the_page_itself_is_confirmed_on_the_new_one(page):
    assert "admin started anew" in (await press(page, "plugins", "reload", name="admin")).text


async def test_a_message_cannot_be_made_up_by_a_link(page):
    text = (await page.get("/admin/system/cache?done=All+is+lost")).text
    assert "All is lost" not in text


async def test_a_panel_of_a_plugin_is_shown_with_its_figures_and_actions(page):
    text = (await page.get("/admin/system/queue")).text
    assert '<th scope="row">waiting</th><td>3</td>' in text
    assert "&lt;script&gt;alert(1)" in text
    assert "Sure?" in text
    assert "3 letters queued again." in (await press(page, "queue", "retry")).text


async def test_a_panel_may_bring_its_own_template_and_is_escaped_all_the_same(page):
    assert '<span data-live="who">&lt;b&gt;</span>' in (await page.get("/admin/system/own")).text


async def test_a_panel_cannot_take_the_place_of_a_tab_and_is_named(page, caplog):
    text = (await page.get("/admin/system/cache")).text
    assert "<h1>Cache</h1>" in text
    assert "Impostor" not in text
    await page.served.host.reload_plugin("admin")
    await page.get("/admin/system/cache")
    await page.get("/admin/system/cache")
    told = [record for record in caplog.records if "its name is taken" in record.getMessage()]
    assert [(record.plugin, record.panel) for record in told[-1:]] == [("queue", "cache")]
    assert len(told) <= 2


async def test_a_panel_action_that_raises_names_no_internals(page):
    text = (await press(page, "queue", "fail")).text
    assert "failed; the log knows more" in text
    assert "hunter2" not in text


async def test_a_panel_that_hangs_is_given_up_and_said_to_be(page, monkeypatch):
    monkeypatch.setattr(Queue, "hang", True)
    text = (await page.get("/admin/system/queue")).text
    assert "took longer than 0.2 s" in text
    assert (await page.get("/admin/system/queue.json")).status_code == 503
    assert (await page.get("/admin/system/plugins")).status_code == 200


async def test_a_panel_of_an_unloaded_plugin_is_gone(page):
    await page.served.host.unload_plugin("queue")
    assert "Queue" not in (await page.get("/admin/system/plugins")).text
    assert (await page.get("/admin/system/queue")).status_code == 404


async def test_a_tab_without_its_plugin_says_which_one_is_missing(page):
    await page.served.host.unload_plugin("cache")
    text = (await page.get("/admin/system/cache")).text
    assert "The plugin &#39;cache&#39; is not running" in text


async def test_a_failed_plugin_is_on_the_page_with_its_last_error(page):
    class Broken(Plugin):
        name = "broken"

        async def start(self, context: PluginContext) -> None:
            raise RuntimeError("no licence found")

    with pytest.raises(Exception, match="no licence"):
        await page.served.host.load_plugin(Broken)
    text = (await page.get("/admin/system/plugins")).text
    assert "no licence found" in text
    assert "Last error (start)" in text


@pytest.mark.parametrize("prefix", ["/ops", "/a/b"])
async def test_the_page_works_under_any_prefix(serve, prefix):
    async with serve(SessionsPlugin, CachePlugin, AdminPlugin) as served:
        outer = Starlette(routes=[Mount(prefix, app=served.app)])
        async with served.client(app=outer) as client:
            code = served.app.runtime.sign_ins.make_link_code()
            at = f"http://testserver{prefix}/admin/sign-in?code={code}"
            answer = await client.get(at)
            index = urljoin(at, answer.headers["location"])
            assert index == f"http://testserver{prefix}/admin/system"
            text = (await client.get(index, headers=PAGE)).text
            links = re.findall(r'(?:href|src|data-events|data-poll)="([^"#]+)"', text)
            for link in {each.replace("&amp;", "&") for each in links if not each.startswith("data:")}:
                if "events" not in link:
                    found = await client.get(urljoin(index, link))
                    assert found.status_code == 200, link
            done = await client.post(urljoin(index, "system/cache/clear"), data={})
            shown = await client.get(urljoin(str(done.url), done.headers["location"]))
            assert "All caches cleared" in shown.text


async def test_the_files_are_not_fetched_twice(page):
    first = await page.get("/admin/static/style.css")
    assert first.headers["cache-control"] == "public, max-age=3600"
    again = await page.get("/admin/static/style.css", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304


async def test_polling_gives_the_pieces_that_a_stream_would(page):
    told = (await page.get("/admin/system/plugins.live")).json()
    shown = (await page.get("/admin/system/plugins")).text
    assert f'data-shape="{told["shape"]}"' in shown
    assert set(told["parts"]) == set(re.findall(r'data-live="([^"]+)"', shown))


async def test_a_page_that_waits_for_its_plugin_looks_again_without_a_failed_request(serve):
    async with serve(AdminPlugin) as served, served.client(token=served.token("*")) as client:
        shown = (await client.get("/admin/system/cache", headers={"Accept": "text/html"})).text
        answer = await client.get("/admin/system/cache.live")
        assert (answer.status_code, answer.json()["parts"]) == (200, {})
        assert f'data-shape="{answer.json()["shape"]}"' in shown
        assert (await client.get("/admin/api/health")).json()["http"]["failed"] == 0


def test_a_line_needs_two_points_and_says_its_numbers():
    assert "two samples" in line([[0, 1]], "x")
    drawn = line([[0, 0.5], [10, 1.0]], 'a "label"', top=1.0)
    assert 'points="4.0,48.0 596.0,4.0"' in drawn
    assert 'aria-label="a &#34;label&#34;"' in drawn


def test_bars_show_what_failed():
    assert bars([], "x").count("rect") == 0
    assert bars([[0, 4, 1], [60, 2, 0]], "x").count('class="bar failed"') == 1


def test_the_waterfall_follows_the_order_of_the_start():
    timings = {"b": {"imported": 0.1, "started": 0.3}, "a": {"started": 0.2, "waited": 0.2}, "c": {}}
    drawn = waterfall(timings, ["a", "b"])
    assert drawn.index(">a<") < drawn.index(">b<")
    assert ">c<" not in drawn
    assert "a: waited 200.0 ms, started 200.0 ms" in drawn
    assert "No plugin" in waterfall({}, [])


def test_figures_are_put_into_words():
    assert [milliseconds(s) for s in (None, 2, 0.0042, 0.0000042)] == ["-", "2.00 s", "4.2 ms", "4 µs"]
    assert [readable_bytes(n) for n in (10, 2048, 5 << 20, 3 << 30)] == ["10 B", "2 KiB", "5 MiB", "3.0 GiB"]
    assert [span(s) for s in (5, 120, 7200, 200_000)] == ["5 s", "2 min", "2 h", "2 d"]
    assert facts_table([]) == facts_table({}) == facts_table(None) == "-"
    assert [facts_table(told) for told in (True, 0.5, 1_764_450_000.5, 536_870_912, "1_000")] == [
        "yes",
        "0.5",
        "1\u202f764\u202f450\u202f000",
        "536\u202f870\u202f912",
        "1_000",
    ]
    assert '<th scope="row">open sockets</th><td>0</td>' in facts_table({"open_sockets": 0})
    assert '<th scope="row">SHOP_KEY</th>' in facts_table({"SHOP_KEY": "set"})
    assert facts({"hits": 1200, "last_failure": "", "error_rate": 0.25}) == "hits 1\u202f200, error rate 0.25"


async def test_a_name_that_would_turn_the_page_around_is_written_out(serve):
    class Odd(Plugin):
        name = "odd"

        async def start(self, context: PluginContext) -> None:
            raise ValueError("a\u202eb")

    async with serve(AdminPlugin()) as served:
        with pytest.raises(Exception, match="a"):
            await served.host.load_plugin(Odd)
        async with served.client(token=served.token("*")) as client:
            page = (await client.get("/admin/system/plugins")).text
            assert "a\\u202eb" in page
            assert "\u202e" not in page
