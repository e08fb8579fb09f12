"""The plugin in a real host, in front of a TMDB that real clients accept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import pytest
from serving_tmdb import OWN, SHARED, Bench, bench, until

from plughost.contracts import CacheManager
from plughost.testing import HostMaker
from plughost_images import ImagesPlugin
from plughost_tmdb import Tmdb
from plughost_tmdb.store import Store
from plughost_upstream import Upstreams

pytestmark = pytest.mark.anyio


on_both = pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # and on trio where a test says so: each runs a whole host


@pytest.fixture
async def served(anyio_backend: str, make_host: HostMaker) -> AsyncIterator[Bench]:
    async with bench(make_host) as running:
        yield running


ROUTES = {
    "trending": ("trending/movie/day", "trending/tv/week"),
    "search": ("search/movie?query=the", "search/tv?query=a"),
    "discover": ("discover/movie", "discover/tv?with_genres=18"),
    "movie": ("movie/101", "movie/102"),
    "tv": ("tv/201", "tv/202"),
    "person": ("person/301", "person/302"),
    "configuration": ("configuration", ""),
}
"""Two questions of each route: one that is kept, one that is not."""

DAYS = 86_400.0


@on_both
async def test_an_answer_is_tmdbs_and_loaded_once_for_all(served: Bench) -> None:
    first = await served.get("trending/movie/day", "ada")
    second = await served.get("trending/movie/day?language=en-US&page=1", "bob")
    assert first.status_code == second.status_code == 200
    assert first.content == second.content
    assert first.json()["results"][0]["title"]
    assert first.headers["cache-status"] == "plughost; fwd=miss; stored"
    assert second.headers["cache-status"].startswith("plughost; hit; ttl=1")
    assert second.headers["age"] == "0"
    assert served.tmdb.count("/3/") == 1
    (call,) = served.tmdb.calls
    assert call.headers["authorization"] == f"Bearer {SHARED}"
    assert "api_key" not in call.query


@on_both
async def test_all_routes_answer(served: Bench) -> None:
    paths = [path for path, _ in ROUTES.values()]
    for answer, path in zip(await served.all(*paths), paths, strict=True):
        assert answer.status_code == 200, (path, answer.text)


async def test_who_is_not_signed_in_gets_nothing(served: Bench) -> None:
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=served.app), base_url="http://test"
    ) as nobody:
        for path in ("movie/101", "usage"):
            assert (await nobody.get(f"/api/tmdb/{path}")).status_code == 401
    assert served.tmdb.calls == []


async def test_who_has_the_answer_is_not_sent_it_again(served: Bench) -> None:
    etag = (await served.get("movie/101")).headers["etag"]
    again = await served.get("movie/101", headers={"If-None-Match": etag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)


@on_both
async def test_a_hundred_who_open_the_page_at_once_are_one_call_for_each_answer(
    anyio_backend: str, make_host: HostMaker
) -> None:
    """At the pace of the shared key, before a TMDB that refuses more than 40 calls in a second."""
    page = ("trending/movie/day", "trending/tv/day", "configuration")
    statuses: list[int] = []
    async with bench(make_host, shared_rate=2.0, ceiling=40.0) as served:
        served.tmdb.rate = 40

        async def ask(path: str, user: str) -> None:
            statuses.append((await served.get(path, user)).status_code)

        async with anyio.create_task_group() as tasks:
            for number in range(100):
                for path in page:
                    tasks.start_soon(ask, path, f"user{number % 10}")
        assert statuses == [200] * 300
        assert sorted(call.path for call in served.tmdb.calls) == sorted(f"/3/{path}" for path in page)
        assert {call.status for call in served.tmdb.calls} == {200}


@pytest.mark.parametrize(
    "query", ["api_key=x", "page=0", "page=1&page=2", "language=klingon", "callback=evil"]
)
async def test_a_parameter_that_tmdb_does_not_document_is_refused(served: Bench, query: str) -> None:
    answer = await served.get(f"trending/all/day?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_parameter")
    assert served.tmdb.calls == []


async def test_a_path_that_is_not_served_is_not_found(served: Bench) -> None:
    for path in ("trending/all/year", "account", "movie/0", "movie/-1"):
        assert (await served.get(path)).status_code == 404
    assert served.tmdb.calls == []


TROUBLES: dict[str, tuple[dict[str, Any], int, str]] = {
    "delay": ({"kind": "delay", "seconds": 30.0}, 504, "upstream_timeout"),
    "away": ({"kind": "away"}, 502, "upstream_unavailable"),
    "500": ({"kind": "500"}, 502, "upstream_unavailable"),
    "503": ({"kind": "500", "status": 503}, 502, "upstream_unavailable"),
    "429": ({"kind": "429", "retry_after": "30"}, 503, "upstream_busy"),
    "a page": ({"kind": "garbage", "garbage": "html"}, 502, "upstream_garbage"),
    "cut JSON": ({"kind": "garbage", "garbage": "cut"}, 502, "upstream_garbage"),
    "another shape": ({"kind": "garbage", "garbage": "wrong"}, 502, "upstream_garbage"),
    "wrong things": ({"kind": "garbage", "garbage": "askew"}, 502, "upstream_garbage"),
    "9 MB": ({"kind": "garbage", "garbage": "huge"}, 502, "upstream_garbage"),
    "cut off": ({"kind": "cut"}, 502, "upstream_garbage"),
    "401": ({"kind": "401"}, 403, "key_refused"),
}


LIKE_ANOTHER = ("503", "cut JSON", "another shape", "9 MB", "cut off")
CELLS = [
    *(
        pytest.param("asyncio", name, marks=[pytest.mark.soak] if name in LIKE_ANOTHER else [])
        for name in TROUBLES
    ),
    ("trio", "500"),
    ("trio", "cut off"),
]
"""Every trouble; a normal run leaves those to the long one that take the same way through the code as another."""


@pytest.mark.parametrize(("anyio_backend", "trouble"), CELLS)
async def test_in_trouble_what_is_kept_is_given_and_what_is_not_is_told(
    anyio_backend: str, make_host: HostMaker, trouble: str
) -> None:
    """All routes, with nothing kept, with something fresh, and with something stale."""
    options, status, code = TROUBLES[trouble]
    kept = [path for path, _ in ROUTES.values()]
    unknown = [path for _, path in ROUTES.values() if path]
    # Only who waits for nothing is to wait briefly: a busy machine is not TMDB in trouble. Nor is anybody
    # to wait out the 30 s that TMDB asks for, as who comes after its first answer would.
    deadline = {"delay": 5.0, "429": 25.0}.get(trouble, 60.0)
    async with bench(make_host, deadline=deadline) as served:
        before = await served.all(*kept)
        served.tmdb.begin(**options)
        fresh = await served.all(*kept)
        assert [answer.content for answer in fresh] == [answer.content for answer in before]
        assert not any("detail" in answer.headers["cache-status"] for answer in fresh)

        for path, answer in zip(unknown, await served.all(*unknown), strict=True):
            assert (answer.status_code, answer.json()["code"]) == (status, code), path
            assert ("retry-after" in answer.headers) == (status != 403)
            assert answer.headers["content-type"] == "application/problem+json"

        for days, ended in (
            (0.5, ("search", "trending", "discover")),
            (5, ("trending", "movie", "tv", "person", "conf")),
        ):
            served.forgive()
            await served.clock.advance(days * DAYS)
            paths = [path for path in kept if path.startswith(ended)]
            for path, answer in zip(paths, await served.all(*paths), strict=True):
                assert answer.status_code == 200, (path, answer.text)
                assert "; detail=" in answer.headers["cache-status"], path
                assert int(answer.headers["age"]) >= days * DAYS
                assert answer.content == before[kept.index(path)].content

        served.tmdb.end()
        if trouble == "429":
            return  # it wants half a minute of rest
        served.forgive()
        with anyio.fail_after(20):
            while "detail" in (await served.get("trending/movie/day")).headers["cache-status"]:
                await served.clock.advance(10)  # what has failed is not tried again before
                await anyio.sleep(0.05)


@pytest.mark.parametrize("wanted", [True, False])
async def test_only_who_asks_for_it_is_told_by_the_header_of_before(
    make_host: HostMaker, wanted: bool
) -> None:
    async with bench(make_host, warning_header=wanted) as served:
        assert "warning" not in (await served.get("movie/101")).headers
        served.tmdb.begin("away")
        await served.clock.advance(5 * DAYS)
        answer = await served.get("movie/101")
        assert answer.headers.get("warning") == ('110 - "Response is Stale"' if wanted else None)


async def test_a_key_that_is_given_after_the_file_was_deleted_is_in_the_file_that_is_there(
    make_host: HostMaker,
) -> None:
    async with bench(make_host, shared=False) as served, served.client() as ada:
        (file,) = served.host.data_dir.rglob("tmdb.db")
        file.unlink()
        assert (await ada.put("/api/tmdb/key", json={"key": OWN})).status_code == 200
        with closing(Store(file)) as other:
            assert len(other.keys()) == 1


async def test_a_key_that_another_process_of_the_server_took_is_used(make_host: HostMaker) -> None:
    async with bench(make_host, shared=False) as served, served.client() as ada:
        assert (await ada.put("/api/tmdb/key", json={"key": OWN})).status_code == 200
        (file,) = served.host.data_dir.rglob("tmdb.db")
        with closing(Store(file)) as other:
            (key,) = other.keys()
            assert (await ada.delete("/api/tmdb/key")).status_code == 204
            assert (await ada.get("/api/tmdb/movie/101")).json()["code"] == "key_needed"
            other.keep(key)
        assert (await ada.get("/api/tmdb/movie/101")).status_code == 200
        assert served.host.plugins["tmdb"].status["own_keys"] == 1


@on_both
async def test_what_tmdb_no_longer_has_takes_the_place_of_what_was_kept(served: Bench) -> None:
    assert (await served.get("movie/101")).status_code == 200
    served.tmdb.begin("404")
    assert (await served.get("movie/101")).status_code == 200
    await served.clock.advance(5 * DAYS)
    with anyio.fail_after(20):
        while (await served.get("movie/101")).status_code != 404:  # noqa: ASYNC110
            await anyio.sleep(0.05)
    served.tmdb.end()
    assert (await served.get("movie/101")).status_code == 404


async def test_what_tmdb_does_not_have_is_asked_for_once_a_minute(served: Bench) -> None:
    for _ in range(3):
        answer = await served.get("movie/999999")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert served.tmdb.count() == 1
    await served.clock.advance(61)
    await served.get("movie/999999")
    assert served.tmdb.count() == 2


async def test_an_error_is_never_kept(served: Bench) -> None:
    served.tmdb.begin("500")
    assert (await served.get("movie/101")).status_code == 502
    served.tmdb.end()
    assert (await served.get("movie/101")).status_code == 200


async def test_shared_answers_live_four_times_as_long(served: Bench) -> None:
    await served.get("trending/all/day")
    await served.clock.advance(3 * 3600)
    await served.get("trending/all/day")
    assert served.tmdb.count() == 1
    await served.clock.advance(3600 + 60)
    await served.get("trending/all/day")
    await until(lambda: served.tmdb.count() == 2)


def all_files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def put(served: Bench, key: str, user: str = "ada") -> httpx2.Response:
    async with served.client(user) as client:
        return await client.put("/api/tmdb/key", json={"key": key})


@on_both
async def test_an_own_key_is_checked_sealed_used_and_never_sent_back(
    served: Bench, make_host: HostMaker
) -> None:
    stored = await put(served, OWN)
    assert (stored.status_code, stored.json()) == (200, {"last4": "-k3y", "state": "good"})
    served.tmdb.forget()
    await served.get("movie/101")
    assert served.tmdb.calls[0].headers["authorization"] == f"Bearer {OWN}"
    await served.get("movie/102", "bob")
    assert served.tmdb.calls[1].headers["authorization"] == f"Bearer {SHARED}"
    usage = (await served.get("usage")).json()
    assert usage["key"] == {"last4": "-k3y", "state": "good"}
    assert OWN not in str(usage)
    assert b"canary" not in all_files(make_host.data_dir)


async def test_a_key_that_tmdb_refuses_is_not_stored(served: Bench) -> None:
    await put(served, OWN)
    refused = await put(served, "no-such-key-at-tmdb")
    assert (refused.status_code, refused.json()["code"]) == (422, "key_refused")
    assert "no-such-key" not in refused.text
    assert (await served.get("usage")).json()["key"]["last4"] == "-k3y"


@pytest.mark.parametrize("key", ["0" * 32, "short", "with space in it", "a" * 1025, "b\u00e4d-key-of-mine"])
async def test_what_is_no_token_is_refused_before_anybody_is_asked(served: Bench, key: str) -> None:
    answer = await put(served, key)
    assert (answer.status_code, answer.json()["code"]) == (422, "key_malformed")
    assert served.tmdb.calls == []


@pytest.mark.parametrize("trouble", ["500", "away", "429"])
async def test_only_a_refusal_says_that_a_key_is_wrong(served: Bench, trouble: Any) -> None:
    served.tmdb.begin(trouble)
    stored = await put(served, OWN)
    assert (stored.status_code, stored.json()["state"]) == (200, "unchecked")
    served.tmdb.end()
    served.forgive()
    async with served.client() as client:
        for _ in range(40):
            state = (await client.post("/api/tmdb/key/validate")).json()["state"]
            if state == "good":
                break
            await anyio.sleep(0.1)
    assert state == "good"


@pytest.mark.parametrize("fallback", [True, False])
async def test_when_an_own_key_is_refused_the_shared_one_stands_in_if_it_may(
    anyio_backend: str, make_host: HostMaker, fallback: bool
) -> None:
    async with bench(make_host, own_key_fallback=fallback) as served:
        await put(served, OWN)
        served.tmdb.keys.discard(OWN)
        answer = await served.get("movie/101")
        assert (await served.get("usage")).json()["key"]["state"] == "refused"
        assert (await served.get("movie/102", "bob")).status_code == 200
        if fallback:
            assert answer.status_code == 200
        else:
            assert (answer.status_code, answer.json()["code"]) == (403, "key_refused")


async def test_without_any_key_it_is_ready_and_says_what_to_do(
    anyio_backend: str, make_host: HostMaker
) -> None:
    async with bench(make_host, shared=False) as served:
        answer = await served.get("movie/101")
        assert (answer.status_code, answer.json()["code"]) == (403, "key_needed")
        assert "/api/tmdb/key" in answer.json()["detail"]
        await put(served, OWN, "bob")
        assert (await served.get("movie/101", "bob")).status_code == 200
        assert (await served.get("movie/101")).status_code == 200  # what all may see is there now


@on_both
async def test_somebody_elses_bad_key_is_not_mine(anyio_backend: str, make_host: HostMaker) -> None:
    async with bench(make_host, shared=False) as served:
        await put(served, OWN, "bob")
        served.tmdb.begin("delay", seconds=0.3, path="/3/movie")
        answers: dict[str, int] = {}

        async def ask(user: str) -> None:
            answers[user] = (await served.get("movie/101", user)).status_code

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "ada")  # has none; her load ends at once
            tasks.start_soon(ask, "bob")
        assert answers["bob"] == 200


async def test_a_key_can_be_removed(served: Bench) -> None:
    await put(served, OWN)
    async with served.client() as client:
        assert (await client.delete("/api/tmdb/key")).status_code == 204
        assert (await client.delete("/api/tmdb/key")).status_code == 404
        assert (await client.post("/api/tmdb/key/validate")).status_code == 404


@on_both
async def test_usage_is_counted_for_each_user_and_survives_a_reload(served: Bench) -> None:
    for path in ("movie/101", "movie/101", "movie/102"):
        await served.get(path)
    await served.get("movie/101", "bob")
    assert await served.host.unload_plugin("tmdb")
    await served.host.reload_plugin("tmdb")
    usage = (await served.get("usage")).json()
    assert (usage["calls"], usage["hits"], usage["errors"]) == (2, 1, 0)
    bob = (await served.get("usage", "bob")).json()
    assert (bob["calls"], bob["hits"]) == (0, 1)


@on_both
async def test_the_plugin_upstream_may_go_and_come_back(served: Bench) -> None:
    await served.get("movie/101")
    await served.host.unload_plugin("upstream")
    assert (await served.get("movie/101")).status_code == 200
    away = await served.get("movie/102")
    assert (away.status_code, away.json()["code"]) == (502, "upstream_unavailable")
    checks = {check.name: check for check in (await served.host.health()).checks}
    assert checks["tmdb"].status == "warn"
    await served.host.reload_plugin("upstream")
    assert (await served.get("movie/102")).status_code == 200


async def test_without_a_vault_keys_cannot_be_stored_and_the_rest_works(served: Bench) -> None:
    await served.host.unload_plugin("vault")
    stored = await put(served, OWN)
    assert (stored.status_code, stored.json()["code"]) == (503, "vault_missing")
    assert (await served.get("movie/101")).status_code == 200


@pytest.mark.parametrize("plugin", ["tmdb", "upstream", "vault"])
async def test_a_reload_under_load_loses_no_request(
    anyio_backend: str, make_host: HostMaker, plugin: str
) -> None:
    answers: list[str] = []
    done = anyio.Event()
    async with bench(make_host, installed=True) as served:

        async def ask(first: int) -> None:
            for number in range(first, 1000):
                answer = await served.get(f"movie/{101 + number % 15}")
                answers.append("" if answer.status_code == 200 else answer.text)
                if done.is_set():
                    return

        async with anyio.create_task_group() as tasks:
            for number in range(4):
                tasks.start_soon(ask, number)
            for _ in range(3):
                await served.host.reload_plugin(plugin)
            done.set()
    assert set(answers) == {""}
    assert len(answers) > 10


@on_both
async def test_warming_asks_what_the_front_page_asks(served: Bench) -> None:
    await served.host.jobs.run_now("warm trending")
    served.tmdb.forget()
    assert (await served.get("trending/movie/day")).status_code == 200
    first = (await served.get("trending/movie/day")).json()["results"][0]["id"]
    assert (await served.get(f"movie/{first}")).status_code == 200
    assert served.tmdb.calls == []
    assert {record.priority for record in served.host.use(Upstreams).recent()} == {"warm"}


async def test_other_plugins_ask_by_the_service(served: Bench) -> None:
    tmdb = served.host.use(Tmdb)
    answer = await tmdb.answer("movie/101")
    assert answer is not None
    assert b'"id":101' in answer.body.replace(b" ", b"")
    assert await tmdb.answer("movie/999999") is None
    with pytest.raises(ValueError, match="api_key"):
        await tmdb.answer("movie/101", {"api_key": "x"})
    assert sum(row.calls for row in tmdb.usage()) == 2


async def test_the_panel_says_what_is_saved(served: Bench) -> None:
    for _ in range(4):
        await served.get("movie/101")
    async with served.client("admin", "tmdb:read") as client:
        panel = (await client.get("/admin/api/panels/tmdb")).text
    caches = served.host.use(CacheManager).stats()
    assert caches["tmdb.details"].hits == 3
    assert "canary" not in panel


async def test_no_secret_is_in_a_log_or_an_answer(served: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    await put(served, OWN)
    for kind in ("401", "500", "garbage", "429"):
        served.tmdb.begin(kind)  # type: ignore[arg-type]
        served.forgive()
        assert "canary" not in (await served.get(f"movie/{len(kind)}7")).text
    record = served.host.plugins["tmdb"]
    assert "canary" not in f"{caplog.text} {record!r} {served.host.use(Upstreams).recent()}"


async def test_its_pictures_are_shown_by_the_plugin_images(anyio_backend: str, make_host: HostMaker) -> None:
    async with bench(make_host) as served:
        await served.host.load_plugin(ImagesPlugin)
        path = (await served.get("movie/101")).json()["poster_path"]
        async with served.client() as client:
            picture = await client.get(f"/api/images/tmdb{path}?w=185")
            assert (picture.status_code, picture.headers["content-type"].partition("/")[0]) == (200, "image")
            for bad in ("../3/movie/101", "x.svg", "a%2fb.jpg"):
                assert (await client.get(f"/api/images/tmdb/{bad}")).status_code == 404
        assert {call.path for call in served.tmdb.calls} == {"/3/movie/101", f"/t/p/w185{path}"}
