"""The plugin in a real host, beside a plugin plex of the test's own: its Protocol is all that is known of it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import Response

from plughost import Host, Plugin, PluginContext, hookimpl
from plughost.contracts import CacheManager, session_of
from plughost.http import PUBLIC, HostApplication, Route, create_app
from plughost.plugins.admin import AdminPlugin
from plughost.plugins.cache import CachePlugin
from plughost.plugins.sessions import SessionsPlugin
from plughost.testing import FakeClock, HostMaker
from plughost_dashboard import Usage
from plughost_dashboard.plugin import DashboardPlugin
from plughost_dashboard.protocols import UsageHour
from plughost_dashboard.usage import CountedUsage, Hours
from plughost_plex.protocols import Account, Answer, Monitored, Plex, PlexError, Server
from plughost_upstream.protocols import CallRecord, UpstreamTimeoutError

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


ANSWERS: Mapping[str, Mapping[str, Any]] = {
    "activities": {"size": 1, "Activity": [{"uuid": "1", "progress": 40}]},
    "sessions": {"size": "2", "Metadata": [{"title": "A", "TranscodeSession": {}}, {"title": "B"}]},
    "history": {"Metadata": [{"title": "A"}, {"grandparentTitle": "Show", "title": "1"}, {"title": "A"}]},
    "recent": {"Metadata": [{"title": "New"}]},
    "libraries": {"Directory": [{"type": "movie"}, {"type": "show"}, {"type": "movie"}]},
}


class FakePlexPlugin(Plugin):
    """Provides ``Plex``."""

    name = "plex"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.errors: dict[str, Exception] = {}
        self.owners: set[str] = set()

    def owns(self, user_id: str) -> bool:
        return user_id in self.owners

    async def start(self, context: PluginContext) -> None:
        context.provide(Plex, self)

    async def accounts(self) -> tuple[Account, ...]:
        return (Account(user_id="7", plex_id=70, username="ada"),)

    async def servers(self, user_id: str) -> tuple[Server, ...]:
        return ()

    async def monitor(self, what: Monitored, user_id: str = "") -> Answer:
        self.asked.append(what)
        if what in self.errors:
            raise self.errors[what]
        return Answer(data=ANSWERS[what])

    async def count_calls(self) -> Mapping[str, int]:
        return {}


@dataclass
class Bench:
    host: Host
    app: HostApplication
    plex: FakePlexPlugin
    clock: FakeClock
    tokens: dict[tuple[str, ...], str] = field(default_factory=dict)

    async def ask(
        self, path: str, *scopes: str, method: str = "GET", follow: bool = False
    ) -> httpx2.Response:
        if scopes not in self.tokens:
            self.tokens[scopes] = self.app.runtime.tokens.create("t", scopes or ("x:read",), 1e9)[0]
        headers = {"Authorization": f"Bearer {self.tokens[scopes]}"}
        transport = httpx2.ASGITransport(app=self.app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
            return await client.request(method, path, follow_redirects=follow)

    async def computed(self) -> None:
        """Wait for the first statistics."""
        caches: Any = self.host.use(CacheManager)
        await caches.tick()


@asynccontextmanager
async def running(make_host: HostMaker, *plugins: object) -> AsyncIterator[Bench]:
    clock, plex = FakeClock(), FakePlexPlugin()
    async with make_host() as host:
        await host.load_plugin(CachePlugin(clock), {"warm_interval": 1e9, "cleanup_interval": 1e9})
        for plugin in (plex, *plugins):
            await host.load_plugin(*(plugin if isinstance(plugin, tuple) else (plugin,)))
        await host.load_plugin(DashboardPlugin(clock))
        app = create_app(host)
        try:
            yield Bench(host, app, plex, clock)
        finally:
            app.close()


def test_what_is_counted_after_the_file_was_deleted_is_in_the_file_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "dashboard" / "usage.db"
    with closing(Hours(path)) as hours:
        path.unlink()
        hours.add([UsageHour(hour=1, source="tmdb", calls=2)])
        with closing(Hours(path)) as others:
            assert [row.calls for row in others.since(0)] == [2]


@pytest.fixture
async def bench(anyio_backend: str, make_host: HostMaker) -> AsyncIterator[Bench]:
    async with running(make_host) as found:
        await found.computed()
        yield found


async def test_the_dashboard_was_computed_before_anybody_asked(bench: Bench) -> None:
    before = list(bench.plex.asked)
    answer = (await bench.ask("/api/plex/stats/dashboard")).json()
    assert bench.plex.asked == before
    assert (answer["sessions"], answer["transcoding"], answer["activities"]) == (2, 1, 1)
    assert answer["libraries"] == {"movie": 2, "show": 1}
    assert answer["most_watched"] == [["A", 2], ["Show", 1]]
    assert (answer["recent"], answer["watched"], answer["away"]) == (["New"], 3, {})


async def test_it_is_computed_again_each_minute_read_or_not(bench: Bench) -> None:
    first = len(bench.plex.asked)
    await bench.clock.advance(61)
    await bench.computed()
    assert len(bench.plex.asked) == 2 * first


async def test_before_the_first_time_it_says_so(anyio_backend: str, make_host: HostMaker) -> None:
    async with running(make_host) as bench:
        answer = await bench.ask("/api/plex/stats/dashboard")
        assert (answer.status_code, answer.json()["code"]) == (503, "not_yet")


async def test_a_part_that_cannot_be_had_is_named_and_the_others_are_there(
    anyio_backend: str, make_host: HostMaker
) -> None:
    async with running(make_host) as bench:
        bench.plex.errors = {
            "history": UpstreamTimeoutError("slow"),
            "recent": PlexError(502, "plex_away", "x"),
            "sessions": KeyError("?"),
        }
        await bench.computed()
        answer = (await bench.ask("/api/plex/stats/dashboard")).json()
        assert answer["away"] == {
            "history": "upstream_timeout",
            "recent": "plex_away",
            "sessions": "KeyError",
        }
        assert answer["libraries"] == {"movie": 2, "show": 1}
        assert "watched" not in answer


async def test_without_the_plugin_plex_it_goes_on(bench: Bench) -> None:
    await bench.host.unload_plugin("plex")
    assert (await bench.ask("/api/plex/stats/dashboard")).status_code == 200
    await bench.clock.advance(61)
    await bench.computed()
    answer = (await bench.ask("/api/plex/stats/dashboard")).json()
    assert set(answer["away"].values()) == {"plugin_plex_away"}
    assert (await bench.ask("/api/plex/stats/live", "plex:monitor")).status_code == 502
    assert (await bench.ask("/api/admin/users", "users:read")).status_code == 503


async def test_odd_shapes_break_nothing(
    anyio_backend: str, make_host: HostMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd: dict[str, Any] = {"activities": {}, "sessions": {"Metadata": None}, "history": {"Metadata": ["x", {}]},
                           "recent": {"Metadata": {"a": 1}}, "libraries": {"Directory": [{}]}}  # fmt: skip
    for name, data in odd.items():
        monkeypatch.setitem(ANSWERS, name, data)  # type: ignore[arg-type]
    async with running(make_host) as bench:
        await bench.computed()
        answer = (await bench.ask("/api/plex/stats/dashboard")).json()
        assert (answer["activities"], answer["sessions"], answer["watched"], answer["away"]) == (0, 0, 1, {})


async def test_other_plugins_add_sections(anyio_backend: str, make_host: HostMaker) -> None:
    class Downloads(Plugin):
        name = "downloads"

        async def start(self, context: object) -> None: ...

        @hookimpl(optionalhook=True)
        async def dashboard_section(self) -> Mapping[str, Any]:
            return {"title": "Downloads", "waiting": 3}

    async with running(make_host, Downloads) as bench:
        await bench.computed()
        answer = (await bench.ask("/api/plex/stats/dashboard")).json()
        assert answer["sections"] == [{"title": "Downloads", "waiting": 3}]


async def test_what_is_live_is_for_owners_and_asked_once_in_half_a_minute(bench: Bench) -> None:
    assert (await bench.ask("/api/plex/stats/live")).status_code == 403
    assert (await bench.ask("/api/plex/stats")).status_code == 403
    before = len(bench.plex.asked)
    for _ in range(3):
        answer = await bench.ask("/api/plex/stats/live", "plex:monitor")
        assert answer.json()["sessions"] == 2
    assert len(bench.plex.asked) == before + 2
    assert (await bench.ask("/api/plex/stats", "plex:monitor")).json()["statistics"]["watched"] == 3


class _SignedInPlugin(Plugin):
    """Signs everybody in under the name that a query parameter gives, as the plugin sessions would."""

    name = "signed-in"

    @hookimpl
    def register_routes(self) -> list[Any]:
        return [Route("/sign-in/{user}", self._sign_in, methods=["POST"], guard=PUBLIC)]

    async def _sign_in(self, request: Request) -> Response:
        session = await session_of(request).load()
        await session.sign_in(request.path_params["user"], username=request.path_params["user"])
        return Response()


async def test_figures_of_a_server_are_for_its_owner_and_for_tokens_that_say_so(
    anyio_backend: str, make_host: HostMaker
) -> None:
    async with running(make_host, (SessionsPlugin, {"store": "memory"}), _SignedInPlugin) as bench:
        bench.plex.owners = {"ada"}
        await bench.computed()
        transport = httpx2.ASGITransport(app=bench.app)
        for user, status in (("", 401), ("guest", 403), ("ada", 200)):
            async with httpx2.AsyncClient(transport=transport, base_url="https://test") as client:
                if user:
                    await client.post(f"/sign-in/{user}")
                answers = [await client.get(path) for path in ("/api/plex/stats", "/api/plex/stats/live")]
            assert [answer.status_code for answer in answers] == [status, status], user
        await bench.host.unload_plugin("plex")
        assert (await bench.ask("/api/plex/stats")).status_code == 403  # nobody can say who owns what
        assert (await bench.ask("/api/plex/stats", "plex:monitor")).status_code == 200


async def test_owners_are_told_hit_rates_memory_checks_and_what_failed(bench: Bench) -> None:
    cache = bench.host.use(CacheManager).get("plex.metadata")
    for _ in range(4):
        await cache.get_or_set("k", lambda: 1)
    bench.plex.errors = {"activities": RuntimeError("nobody's business")}
    bench.plex.errors["sessions"] = bench.plex.errors["activities"]
    await bench.ask("/api/plex/stats/live", "plex:monitor")
    answer = await bench.ask("/api/plex/stats", "plex:monitor")
    host = answer.json()["host"]
    assert host["caches"]["caches"]["plex.metadata"]["hit_rate"] == 0.75
    assert host["caches"]["hits"] >= 3
    assert host["memory"]["resident_bytes"] is None or host["memory"]["resident_bytes"] > 1 << 20
    assert host["checks"]["cache"]["status"] == "pass"
    assert host["requests"]["answered"] >= 1
    assert host["requests"]["failed"] == 1
    assert "business" not in answer.text


async def test_what_is_live_is_stale_rather_than_missing(bench: Bench) -> None:
    await bench.ask("/api/plex/stats/live", "plex:monitor")
    bench.plex.errors = dict.fromkeys(ANSWERS, UpstreamTimeoutError("slow"))
    await bench.clock.advance(60)
    answer = await bench.ask("/api/plex/stats/live", "plex:monitor")
    assert (answer.status_code, answer.json()["stale"]) == (200, True)


async def test_usage_says_what_was_saved(bench: Bench) -> None:
    cache = bench.host.use(CacheManager).get("tmdb.details")
    for _ in range(10):
        await cache.get_or_set("k", lambda: 1)
    call = CallRecord(origin="tmdb", method="GET", path="/", outcome="ok", attempts=1, seconds=0.25)
    never_sent = CallRecord(origin="tmdb", method="GET", path="/", outcome="busy")
    await bench.host.load_plugin(_Teller, name="teller")
    picture = CallRecord(
        origin="tmdb-images", method="GET", path="/t/p/x", outcome="ok", attempts=1, seconds=0.25
    )
    left = CallRecord(origin="tmdb", method="GET", path="/", outcome="left", attempts=1, seconds=0.25)
    await bench.host.hooks.upstream_calls(batch=[call, never_sent, picture, left])
    (source,) = (await bench.ask("/api/media/usage")).json()["sources"]
    assert source == {
        "source": "tmdb", "reads": 10, "stale": 0, "calls": 3, "errors": 0, "mean_ms": 250.0, "saved": 0.9,
    }  # fmt: skip
    assert [row.source for row in bench.host.use(Usage).hours()] == ["tmdb"]
    assert (await bench.ask("/api/media/usage?hours=0")).status_code == 422
    assert (await bench.ask("/api/media/usage?hours=x")).status_code == 422


class _Teller(Plugin):
    """Declares the hook that the plugin upstream has."""

    async def start(self, context: PluginContext) -> None:
        from plughost_upstream import hookspecs

        context.register_hookspecs(hookspecs)


async def test_usage_survives_a_restart_and_is_not_counted_twice(tmp_path: Any) -> None:
    clock = FakeClock()
    call = CallRecord(origin="plex-1a2b", method="GET", path="/", outcome="timeout", attempts=2, seconds=1)
    for expected in (2, 4):
        hours = await anyio.to_thread.run_sync(Hours, tmp_path / "usage.db")
        usage = CountedUsage(hours, clock)
        usage.called([call])
        await usage.flush()
        await usage.flush()
        (source,) = usage.sources()
        assert (source.source, source.calls, source.saved) == ("plex", expected, 0.0)
        hours.close()


async def test_what_was_counted_before_loads_were_is_still_there(tmp_path: Any) -> None:
    path, clock = tmp_path / "usage.db", FakeClock()
    with closing(sqlite3.connect(path)) as file, file:
        file.execute(
            "CREATE TABLE usage_hour (hour INTEGER, source TEXT, reads INTEGER, stale INTEGER, calls INTEGER,"
            " errors INTEGER, ms INTEGER, PRIMARY KEY (hour, source)) WITHOUT ROWID"
        )
        file.execute(
            "INSERT INTO usage_hour VALUES (?, 'plex', 10, 0, 4, 0, 0)", (int(clock.time() // 3600),)
        )
    hours = await anyio.to_thread.run_sync(Hours, path)
    usage = CountedUsage(hours, clock)
    usage.called([CallRecord(origin="plex-1a2b", method="GET", path="/", outcome="ok", attempts=1)])
    await usage.flush()
    (source,) = usage.sources()
    assert (source.reads, source.calls, source.saved) == (10, 5, 0.6)
    hours.close()


async def test_usage_is_in_a_backup_and_comes_back(bench: Bench) -> None:
    call = CallRecord(origin="tmdb", method="GET", path="/", outcome="ok", attempts=3)
    usage: Any = bench.host.use(Usage)
    usage.called([call])  # and is not written yet
    made = await bench.host.backups.run()
    usage.called([call])
    await usage.flush()
    await bench.host.backups.restore(made.location.uri, overwrite=True)
    (source,) = (await bench.ask("/api/media/usage")).json()["sources"]
    assert (source["source"], source["calls"]) == ("tmdb", 3)


async def test_what_is_older_than_90_days_goes(tmp_path: Any) -> None:
    clock = FakeClock()
    hours = await anyio.to_thread.run_sync(Hours, tmp_path / "usage.db")
    usage = CountedUsage(hours, clock)
    call = CallRecord(origin="plex", method="GET", path="/", outcome="ok", attempts=1)
    for _ in range(2):
        usage.called([call])
        await usage.flush()
        await clock.advance(91 * 86_400)
    assert len(usage.hours()) == 1
    hours.close()


async def test_the_caches_of_plex_can_be_looked_at_cleared_and_warmed(bench: Bench) -> None:
    cache = bench.host.use(CacheManager).get("plex.metadata")
    for _ in range(4):
        await cache.get_or_set("k", lambda: 1)
    stats = (await bench.ask("/api/plex/cache/stats", "cache:read")).json()
    assert (stats["hit_rate"], stats["caches"]["plex.metadata"]["hits"]) == (0.75, 3)
    assert (await bench.ask("/api/plex/cache/clear", method="POST")).status_code == 403
    cleared = await bench.ask("/api/plex/cache/clear", "cache:write", method="POST")
    assert cleared.json() == {"cleared": ["plex.metadata"]}
    assert not await cache.exists("k")
    assert (await bench.ask("/api/plex/cache/warm", "cache:write", method="POST")).json()["loaded"] >= 1


async def test_addresses_of_other_hosts_lead_to_the_administration(
    anyio_backend: str, make_host: HostMaker
) -> None:
    async with running(make_host, AdminPlugin) as bench:
        for path, scope in (
            ("/api/cache/stats", "cache:read"),
            ("/api/cache/keys", "cache:read"),
            ("/api/admin/stats/usage", "stats:read"),
            ("/api/admin/stats/performance", "stats:read"),
            ("/api/admin/stats/errors", "stats:read"),
        ):
            assert (await bench.ask(path)).status_code == 403
            answer = await bench.ask(path, scope, follow=True)
            assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json"), path
        flushed = await bench.ask("/api/cache/flush", "cache:write", method="POST")
        assert (flushed.status_code, flushed.headers["location"]) == (307, "/admin/api/cache/flush")


async def test_statistics_are_computed_as_soon_as_somebody_signs_in(bench: Bench) -> None:
    await bench.host.load_plugin(_Linker, name="linker")
    before = len(bench.plex.asked)
    await bench.host.hooks.plex_linked(account=Account(user_id="7", plex_id=70, username="ada"))
    assert len(bench.plex.asked) == before + 5


class _Linker(Plugin):
    """Declares the hooks that the plugin plex has."""

    async def start(self, context: PluginContext) -> None:
        from plughost_plex import hookspecs

        context.register_hookspecs(hookspecs)


async def test_who_is_linked_is_told_without_tokens(bench: Bench) -> None:
    answer = await bench.ask("/api/admin/users", "users:read")
    assert answer.json() == {"users": [{"user_id": "7", "plex_id": 70, "username": "ada"}]}
