"""What the admin API tells has bounds, a fresh server has its default cache, and the trail names what was touched."""

from __future__ import annotations

import anyio
import pytest

from plughost.contracts import CacheManager, SessionManager
from plughost.plugins.admin import AdminPlugin, actions, figures
from plughost.plugins.cache.plugin import CachePlugin
from plughost.plugins.sessions.plugin import SessionsPlugin

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def api(serve):
    plugins = ((SessionsPlugin, {"store": "memory"}), CachePlugin, AdminPlugin)
    async with serve(*plugins) as served:
        base = "http://testserver/admin/api/"
        async with served.client(token=served.token("*"), base=base) as client:
            client.served = served
            yield client


async def test_the_sessions_of_a_user_come_in_pages_and_each_once(api):
    sessions = api.served.host.use(SessionManager)
    made = {(await sessions.create("7")).handle for _ in range(23)}
    seen: list[str] = []
    cursor = ""
    while cursor is not None:
        page = (await api.get("sessions/users/7", params={"limit": 10, "cursor": cursor})).json()
        assert len(page["sessions"]) <= 10
        assert page["total"] == 23
        seen += [row["handle"] for row in page["sessions"]]
        cursor = page["cursor"]
    assert len(seen) == 23
    assert set(seen) == made


async def test_the_first_pages_and_the_end_of_one_session_read_few_of_many(api, monkeypatch):
    monkeypatch.setattr(figures, "SESSIONS_COUNTED", 20)
    monkeypatch.setattr(actions, "SESSIONS_COUNTED", 20)
    sessions = api.served.host.use(SessionManager)
    made = [(await sessions.create("7")).handle for _ in range(500)]
    store, asked = sessions.records.store, []
    read = store.list_subject

    async def noted(subject, limit=None):
        asked.append(limit)
        return await read(subject, limit)

    monkeypatch.setattr(store, "list_subject", noted)
    page = (await api.get("sessions/users/7", params={"limit": 10})).json()
    assert (page["total"], page["more"], asked) == (20, True, [20])
    seen, cursor = [row["handle"] for row in page["sessions"]], page["cursor"]
    assert (await api.delete(f"sessions/users/7/{seen[0]}")).status_code == 200
    assert asked[1:] == [20, 100, 20]
    while cursor is not None:
        page = (await api.get("sessions/users/7", params={"limit": 100, "cursor": cursor})).json()
        seen += [row["handle"] for row in page["sessions"]]
        cursor = page["cursor"]
    assert (len(seen), set(seen), page["more"], page["total"]) == (500, set(made), False, 499)
    assert (await api.delete(f"sessions/users/7/{made[0]}")).status_code == 200
    assert (await api.delete("sessions/users/7/nobody")).status_code == 404


@pytest.mark.parametrize("cursor", ["nan:x", "inf:x", "x", ":"])
async def test_a_cursor_that_no_page_told_is_refused(api, cursor):
    answer = await api.get("sessions/users/7", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_query")


async def test_without_a_limit_there_is_one_all_the_same(api):
    sessions = api.served.host.use(SessionManager)
    for _ in range(120):
        await sessions.create("7")
    assert len((await api.get("sessions/users/7")).json()["sessions"]) == 100


async def test_the_tab_shows_the_newest_sessions_of_each_user_and_says_how_many_there_are(api):
    sessions = api.served.host.use(SessionManager)
    made = [(await sessions.create("7", metadata={"device": "robot"})).handle for _ in range(120)]
    with anyio.fail_after(20):
        while not (tab := (await api.get("sessions/stats")).json())["users_seen"]:  # noqa: ASYNC110 - events tell nobody that they came
            await anyio.sleep(0.01)
    (user,) = tab["users_seen"]
    listed = [session.handle for session in await sessions.list_user("7")]
    assert [session["handle"] for session in user["sessions"]] == listed[:10]
    assert (user["total"], tab["devices"]) == (len(made), {"robot": 120})
    for asked, shown in (("", 10), ("?user=7", 100)):
        address = f"http://testserver/admin/system/sessions{asked}"
        page = await api.get(address, headers={"Accept": "text/html"})
        assert f"The newest {shown} of 120 sessions of 7." in page.text
        assert "End all 120 sessions of 7?" in page.text


async def test_no_more_sessions_of_a_user_are_read_for_the_tab_than_are_counted(api, monkeypatch):
    monkeypatch.setattr(figures, "SESSIONS_COUNTED", 20)
    sessions = api.served.host.use(SessionManager)
    for _ in range(30):
        await sessions.create("7")
    with anyio.fail_after(20):
        while not (tab := (await api.get("sessions/stats")).json())["users_seen"]:  # noqa: ASYNC110 - events tell nobody that they came
            await anyio.sleep(0.01)
    assert (tab["users_seen"][0]["total"], tab["users_seen"][0]["more"]) == (20, True)
    page = await api.get("http://testserver/admin/system/sessions", headers={"Accept": "text/html"})
    assert "The newest 10 of at least 20 sessions of 7." in page.text
    assert "End all of at least 20 sessions of 7?" in page.text


async def test_a_page_goes_on_where_the_last_one_ended_though_its_session_has_ended(api):
    sessions = api.served.host.use(SessionManager)
    for _ in range(6):
        await sessions.create("7")
    first = (await api.get("sessions/users/7?limit=3")).json()
    await sessions.end_handle("7", first["sessions"][-1]["handle"])
    second = (await api.get("sessions/users/7", params={"limit": 3, "cursor": first["cursor"]})).json()
    assert len(second["sessions"]) == 3
    assert second["cursor"] is None


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "cursor=x"])
async def test_an_odd_page_is_refused(api, query):
    assert (await api.get(f"sessions/users/7?{query}")).status_code == 422


async def test_a_fresh_server_has_its_default_cache_at_every_door(api):
    assert (await api.get("cache/keys")).json()["cache"] == "default"
    for action in ("clear", "warm"):
        assert (await api.post(f"cache/{action}", json={"cache": "default"})).status_code == 200
    assert (await api.post("cache/invalidate", json={"key": "k"})).status_code == 200
    assert (await api.get("cache/keys?cache=nothing")).status_code == 404
    assert (await api.post("cache/clear", json={"cache": "nothing"})).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "target"),
    [
        ("cache/clear", {"cache": "films"}, "films"),
        ("cache/clear", {}, "all"),
        ("cache/clear", {"cache": "nothing"}, "nothing"),
        ("cache/invalidate", {"key": "k"}, "k, default"),
        ("cache/invalidate", {"cache": "films", "tag": "t"}, "films, t"),
    ],
)
async def test_the_trail_names_what_was_touched(api, path, body, target):
    api.served.host.use(CacheManager).get("films")
    await api.post(path, json=body)
    newest = (await api.get("audit?limit=1")).json()["entries"][0]
    assert set(newest["target"].split(", ")) == set(target.split(", "))
