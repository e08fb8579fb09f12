"""The admin API on real plugins: what it tells, what it does, and what it says it did."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

import pytest
from msgspec.structs import replace

from plughost import Plugin, PluginContext, hookimpl
from plughost.contracts import CacheManager, SessionManager
from plughost.exceptions import ConfigError
from plughost.http import HttpSettings
from plughost.plugins.admin import AdminPlugin, actions, figures, tabs
from plughost.plugins.cache.plugin import CachePlugin
from plughost.plugins.sessions.plugin import SessionsPlugin

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Greeter(Plugin):
    name = "greeter"
    requires = ("cache",)

    async def start(self, context: PluginContext) -> None:
        context.every(3600, self.sync, name="sync")
        context.every(3600, self.fail, name="fail")
        self.synced = 0

    async def sync(self) -> None:
        self.synced += 1

    async def fail(self) -> None:
        raise RuntimeError("the source is away")

    @hookimpl
    def before_auth(self, attempt: Any) -> Any:
        raise RuntimeError("no")


@pytest.fixture
async def api(serve):
    base = "http://testserver/admin/api/"
    async with (
        serve(SessionsPlugin, CachePlugin, AdminPlugin, Greeter) as served,
        served.client(token=served.token("*"), base=base) as client,
    ):
        client.served = served
        yield client


async def test_sessions_are_counted_and_listed_without_their_secrets(api):
    sessions = api.served.host.use(SessionManager)
    made = await sessions.create("7", username="ada", metadata={"ip_address": "198.51.100.7"})
    told = (await api.get("sessions/stats")).json()
    assert (told["active"], told["users"], told["store"], told["created"]) == (1, 1, "sqlite", 1)
    assert told["cleanup"]["owner"] == "sessions"
    (event,) = told["events"]
    assert (event["kind"], event["subject"], event["handle"]) == ("created", "7", made.handle)
    listed = (await api.get("sessions/users/7")).json()
    assert listed["sessions"][0]["handle"] == made.handle
    assert made.session_id not in (await api.get("sessions/stats")).text + str(listed)


async def test_ending_all_sessions_of_a_user_says_so_after_looking_again(api):
    sessions = api.served.host.use(SessionManager)
    made = [await sessions.create("7") for _ in range(3)]
    other = await sessions.create("8")
    told = (await api.delete("sessions/users/7")).json()
    assert told["done"] == "3 sessions of 7 ended in store sqlite, confirmed."
    assert (told["ended"], told["left"], told["confirmed"]) == (3, 0, True)
    assert [await sessions.get(each.session_id) for each in made] == [None] * 3
    assert await sessions.get(other.session_id) is not None


async def test_one_session_can_be_ended_by_its_handle(api):
    sessions = api.served.host.use(SessionManager)
    first, second = await sessions.create("7"), await sessions.create("7")
    assert (await api.delete(f"sessions/users/7/{first.handle}")).status_code == 200
    assert (await api.delete(f"sessions/users/7/{first.handle}")).status_code == 404
    assert await sessions.get(second.session_id) is not None


async def test_a_session_beyond_those_that_are_looked_at_first_is_looked_for_before_it_is_said_to_be_gone(
    api, monkeypatch
):
    monkeypatch.setattr(actions, "SESSIONS_COUNTED", 2)
    sessions = api.served.host.use(SessionManager)
    made = [await sessions.create("7") for _ in range(30)]

    async def end_nothing(user_id, handle):
        return True

    with monkeypatch.context() as broken:
        broken.setattr(type(sessions), "end_handle", staticmethod(end_nothing))
        told = (await api.delete(f"sessions/users/7/{made[0].handle}")).json()
    assert (told["confirmed"], "not confirmed: it is still listed" in told["done"]) == (False, True)
    assert (await api.delete(f"sessions/users/7/{made[0].handle}")).json()["confirmed"] is True


async def test_the_clean_up_says_how_many_it_removed(api):
    assert (await api.post("sessions/cleanup")).json()["done"] == "0 expired sessions removed, confirmed."


async def test_cache_figures_are_told_by_cache(api):
    cache = api.served.host.use(CacheManager).get("films", ttl=60)
    await cache.set("a", 1)
    await cache.get("a")
    await cache.get("b")
    told = (await api.get("cache/stats")).json()
    assert (told["caches"]["films"]["hits"], told["caches"]["films"]["misses"]) == (1, 1)
    assert told["totals"]["hit_rate"] == 0.5


async def test_a_low_hit_rate_is_put_into_words(api):
    cache = api.served.host.use(CacheManager).get("films")
    for number in range(30):
        await cache.get(str(number))
    advice = (await api.get("cache/stats")).json()["advice"]
    assert advice[0]["subject"] == "films"
    assert "Only 0 %" in advice[0]["text"]


@pytest.mark.parametrize("verb", ["clear", "flush"])
async def test_clearing_one_cache_leaves_the_others(api, verb):
    caches = api.served.host.use(CacheManager)
    await caches.get("films").set("a", 1)
    await caches.get("books").set("a", 1)
    told = (await api.post(f"cache/{verb}", json={"cache": "films"})).json()
    assert told["done"] == "Cache films cleared of 1 entry, confirmed."
    assert not await caches.get("films").exists("a")
    assert await caches.get("books").exists("a")


async def test_clearing_without_a_name_clears_all(api):
    caches = api.served.host.use(CacheManager)
    await caches.get("films").set("a", 1)
    await caches.default.set("a", 1)
    assert (await api.post("cache/clear")).json()["removed"] == 2
    assert (await api.get("cache/stats")).json()["totals"]["entries"] == 0


@pytest.mark.parametrize(
    ("what", "gone"),
    [({"key": "user:1"}, {"user:1"}), ({"tag": "hot"}, {"user:1", "film:1"}),
     ({"glob": "user:*"}, {"user:1", "user:2"}), ({"regex": "(user|film):1"}, {"user:1", "film:1"})],
)  # fmt: skip
async def test_invalidation_removes_what_it_names(api, what, gone):
    cache = api.served.host.use(CacheManager).default
    for key, tags in {"user:1": ("hot",), "user:2": (), "film:1": ("hot",)}.items():
        await cache.set(key, 1, tags=tags)
    told = (await api.post("cache/invalidate", json=what)).json()
    assert told["removed"] == len(gone)
    assert {key for key in ("user:1", "user:2", "film:1") if not await cache.exists(key)} == gone


@pytest.mark.parametrize(
    "what", [{}, {"key": "a", "tag": "b"}, {"regex": "("}, {"cache": 3, "key": "a"}, {"colour": "red"}]
)
async def test_an_invalidation_that_makes_no_sense_is_a_422(api, what):
    api.served.host.use(CacheManager).default  # noqa: B018 - it exists now
    assert (await api.post("cache/invalidate", json=what)).status_code == 422


async def test_a_cache_nobody_made_is_a_404(api):
    for path in ("clear", "warm", "reset-stats", "cleanup"):
        assert (await api.post(f"cache/{path}", json={"cache": "nowhere"})).status_code == 404
    assert (await api.get("cache/keys?cache=nowhere")).status_code == 404


async def test_figures_are_counted_from_zero_again(api):
    cache = api.served.host.use(CacheManager).default
    await cache.get("a")
    assert (await api.post("cache/reset-stats")).json()["confirmed"] is True
    assert cache.stats().misses == 0


async def test_keys_are_listed_and_entries_only_in_development(api):
    cache = api.served.host.use(CacheManager).default
    await cache.set("a", "the value")
    cache.expect("b")
    told = (await api.get("cache/keys")).json()
    assert told["keys"] == ["a"]
    assert [key["key"] for key in told["expected"] if not key["present"]] == ["b"]
    refused = await api.get("cache/debug")
    assert (refused.status_code, refused.json()["code"]) == (403, "debug_off")


async def test_plugins_are_told_with_their_hooks_in_call_order(api):
    told = (await api.get("plugins")).json()
    assert told["plugins"]["greeter"]["state"] == "ready"
    assert told["counts"]["ready"] == 4
    hooks = {
        hook["hook"]: [row["plugin"] for row in hook["plugins"]]
        for hook in (await api.get("plugins/hooks")).json()["hooks"]
    }
    assert hooks["before_auth"] == ["greeter"]
    assert (await api.get("plugins/greeter")).json()["requires"] == ["cache"]
    assert (await api.get("plugins/nobody")).status_code == 404


async def test_a_reload_is_confirmed_by_a_new_start(api):
    before = api.served.host.plugin("greeter").generation
    told = (await api.post("plugins/greeter/reload")).json()
    assert told["confirmed"] is True
    assert told["generation"] > before
    assert "started anew" in told["done"]


async def test_unloading_says_who_went_along(api):
    told = (await api.post("plugins/cache/unload")).json()
    assert told["also_stopped"] == ["greeter"]
    assert "and with it greeter" in told["done"]
    assert api.served.host.plugin("greeter").state.value != "ready"
    assert (await api.get("cache/stats")).json()["code"] == "service_unavailable"


async def test_what_was_unloaded_can_be_loaded_again(api):
    await api.post("plugins/greeter/unload")
    assert (await api.post("plugins/greeter/load")).json()["done"] == "greeter started, confirmed."
    assert (await api.post("plugins/greeter/load")).json()["done"] == "greeter runs already."


async def test_reloading_all_reaches_the_page_itself(api):
    told = (await api.post("plugins/reload")).json()
    assert set(told["reloaded"]) == {"sessions", "cache", "admin", "greeter"}
    assert (await api.get("plugins")).status_code == 200


@pytest.mark.parametrize("verb", ["unload", "disable"])
async def test_the_page_does_not_saw_off_its_own_branch(api, verb):
    assert (await api.post(f"plugins/admin/{verb}")).status_code == 409
    assert api.served.host.plugin("admin").state.value == "ready"


async def test_a_switch_without_a_file_says_that_it_will_not_last(api):
    told = (await api.post("plugins/greeter/disable")).json()
    assert told["remembered"] is False
    assert "no configuration file" in told["done"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "cannot be written: No space left on device"),
        (ConfigError("shop.toml cannot be edited safely: write it yourself"), "write it yourself"),
    ],
)
async def test_a_switch_that_cannot_be_written_is_told_with_what_was_done(api, monkeypatch, error, said):
    def refuse(name, enabled):
        raise error

    monkeypatch.setattr(api.served.host, "remember_enabled", refuse)
    answer = await api.post("plugins/greeter/disable")
    assert (answer.status_code, answer.json()["state"], answer.json()["remembered"]) == (
        200,
        "disabled",
        False,
    )
    assert said in answer.json()["done"]
    assert "so the next start will not know." in answer.json()["done"]


async def test_a_switch_is_written_into_the_configuration_file(tmp_path):
    from plughost import Host
    from plughost.http import create_app
    from serving import Served

    file = tmp_path / "plughost.toml"
    file.write_text(
        '[host]\nallow = ["admin", "cache"]\ndata_dir = "data"\n'
        '[plugins.admin]\nmodule = "plughost.plugins.admin:AdminPlugin"\n'
        '[plugins.cache]\nmodule = "plughost.plugins.cache:CachePlugin"\n'
    )
    async with Host(config=file, environ={}) as host:
        app = create_app(host)
        served = Served(host, app)
        async with served.client(token=served.token("plugins:write", "plugins:enable")) as client:
            told = (await client.post("/admin/api/plugins/cache/disable")).json()
            assert "plughost.toml says disabled now" in told["done"]
            assert "enabled = false" in file.read_text()
            assert (await client.post("/admin/api/plugins/cache/enable")).json()["confirmed"] is True
            assert "enabled = true" in file.read_text()
        app.close()


async def test_a_plugin_that_does_not_start_is_a_409_that_says_why(api):
    class Broken(Plugin):
        name = "broken"
        fail = False

        async def start(self, context: PluginContext) -> None:
            if type(self).fail:
                raise RuntimeError("no licence")

    await api.served.host.load_plugin(Broken)
    await api.post("plugins/broken/unload")
    Broken.fail = True
    answer = await api.post("plugins/broken/load")
    assert (answer.status_code, answer.json()["phase"]) == (409, "start")
    assert "no licence" in answer.json()["detail"]
    assert "no licence" in (await api.get("plugins")).json()["advice"][0]["text"]


async def test_jobs_are_listed_and_run_by_hand(api):
    listed = {job["name"]: job for job in (await api.get("jobs")).json()["jobs"] if job["owner"] == "greeter"}
    assert listed["sync"]["schedule"] == "every 1 h"
    told = (await api.post("jobs/run", json={"name": "greeter:sync"})).json()
    assert told["confirmed"] is True
    assert told["runs"] == 1
    failed = (await api.post("jobs/run", json={"name": "fail"})).json()
    assert failed["confirmed"] is False
    assert "the source is away" in failed["done"]
    assert (await api.post("jobs/run", json={"name": "nothing"})).status_code == 404


async def test_usage_performance_and_errors_are_told(api):
    await api.get("plugins")
    await api.post("jobs/run", json={"name": "fail"})
    with pytest.raises(Exception, match="greeter"):
        await api.served.host.hooks.before_auth(attempt=object())
    usage = (await api.get("stats/usage")).json()
    assert {"GET /admin/api/plugins"} <= {f"{row['method']} {row['path']}" for row in usage["routes"]}
    performance = (await api.get("stats/performance")).json()
    assert performance["plugins"]["greeter"]["started"] is not None
    errors = (await api.get("stats/errors")).json()
    assert [row["hook"] for row in errors["hooks"]] == ["before_auth"]
    assert [job["name"] for job in errors["jobs"]] == ["fail"]


async def test_actions_are_in_the_audit_trail_with_what_came_of_them(api):
    await api.post("plugins/greeter/reload")
    await api.post("plugins/nobody/reload")
    newest, older = (await api.get("audit?limit=2")).json()["entries"]
    assert (newest["verb"], newest["status"], newest["target"]) == ("plugins.reload", 404, "nobody")
    assert older["status"] == 200
    assert "started anew" in older["detail"]
    assert older["actor"].startswith("token ")
    assert older["address"] == "203.0.113.7"


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=99999", "before=x", "before=-1", "limit=٣"])
async def test_a_query_that_makes_no_sense_is_a_422(api, query):
    assert (await api.get(f"audit?{query}")).status_code == 422


@pytest.mark.parametrize("body", ["[]", "3", '"x"', "null", '{"cache": null, "more": 1}', '{"cache": ""}'])
async def test_a_body_that_is_no_fitting_object_is_a_422(api, body):
    answer = await api.post("cache/clear", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422


async def test_secrets_of_plugins_and_apps_are_in_no_answer(serve):
    class Sender(Plugin):
        name = "sender"

    async with (
        serve((Sender, {"api_key": "hunter2", "url": "https://u:hunter2@mail"}), AdminPlugin) as served,
        served.client(token=served.token("*")) as client,
    ):
        for path in ("/admin/api/plugins", "/admin/api/plugins/sender", "/admin/system/plugins"):
            assert "hunter2" not in (await client.get(path)).text


async def test_events_stream_figures_and_only_what_changed_of_the_page(live_server):
    server = live_server((AdminPlugin, {"refresh": 0.1}))
    with server.client(server.token("plugins:read")) as client:
        with client.stream("GET", "/admin/api/events?tab=plugins") as stream:
            lines = stream.iter_lines()
            events = [next(line for line in lines if line.startswith("event")) for _ in range(2)]
            assert events == ["event: figures"] * 2
        with client.stream("GET", "/admin/api/events?tab=plugins&as=parts") as stream:
            first = next(line for line in stream.iter_lines() if line.startswith("data"))
            assert '"shape"' in first
            assert '"state-admin"' in first


async def test_five_hundred_who_watch_a_tab_cost_one_look_a_round(live_server, monkeypatch):
    looks = 0
    real = figures.plugin_figures

    async def counted(runtime: Any, desk: Any) -> Any:
        nonlocal looks
        looks += 1
        return await real(runtime, desk)

    tab = next(tab for tab in tabs.OWN if tab.name == "plugins")
    monkeypatch.setattr(tabs, "OWN", tuple(replace(t, figures=counted) if t is tab else t for t in tabs.OWN))
    server = live_server((AdminPlugin, {"refresh": 0.2}), settings=HttpSettings(rate_limits={"read": 10_000}))
    head = f"GET /admin/api/events HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {server.token('plugins:read')}\r\n\r\n"
    readers = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(500)]
    try:
        for reader in readers:
            reader.sendall(head.encode())
        for reader in readers:
            told = b""
            while b"event: figures" not in told:
                told += reader.recv(65536)
        assert server.app.runtime.open_streams == 500
        assert looks < 250, "one look for each reader"
    finally:
        for reader in readers:
            reader.close()


async def test_streams_end_when_the_plugin_is_reloaded(live_server):
    server = live_server((AdminPlugin, {"refresh": 0.1}))
    with server.client(server.token("*")) as client, client.stream("GET", "/admin/api/events") as stream:
        lines = stream.iter_lines()
        next(line for line in lines if line.startswith("data"))
        with server.client(server.token("*")) as other:
            assert other.post("/admin/api/plugins/admin/reload").status_code == 200
        assert list(lines)[-1:] in ([], [""])


async def test_a_stream_of_a_tab_needs_that_tabs_scope(serve):
    async with serve(AdminPlugin) as served, served.client(token=served.token("cache:read")) as client:
        assert (await client.get("/admin/api/events?tab=plugins")).status_code == 403
        assert (await client.get("/admin/api/events?tab=nowhere")).status_code == 404


async def test_a_client_that_asks_too_often_is_slowed_down(serve):
    few = HttpSettings(rate_limits={"code": 2})
    async with serve(AdminPlugin, settings=few) as served, served.client(token=served.token("*")) as client:
        codes = [(await client.post("/admin/api/plugins/admin/load")).status_code for _ in range(3)]
    assert codes == [200, 200, 429]


async def test_enabling_needs_a_scope_of_its_own_and_loading_turns_no_switch(tmp_path):
    from plughost import Host
    from plughost.http import create_app
    from serving import Served

    config = {
        "host": {"allow": ["admin", "cache"], "data_dir": str(tmp_path)},
        "plugins": {"cache": {"enabled": False}},
    }
    async with Host(config=config, environ={}) as host:
        app = create_app(host)
        served = Served(host, app)
        async with served.client(token=served.token("plugins:write")) as client:
            for door in ("load", "reload"):
                assert (await client.post(f"/admin/api/plugins/cache/{door}")).status_code == 409
            assert (await client.post("/admin/api/plugins/cache/enable")).status_code == 403
        async with served.client(token=served.token("plugins:enable")) as client:
            assert (await client.post("/admin/api/plugins/cache/enable")).json()["confirmed"] is True
            assert (await client.post("/admin/api/plugins/database/enable")).status_code == 409
        app.close()
