"""Several servers: which way to them, what is kept of what they say, and what happens when they are in trouble."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from conftest import running
from plughost.contracts import CacheManager
from plughost.plugins.cache import CachePlugin
from plughost.testing import FakeClock
from plughost_media.fakes.plex_tv import Connection
from plughost_plex import servers
from plughost_plex.protocols import Account, Plex
from plughost_plex.shelf import Shelf

pytestmark = pytest.mark.anyio


async def test_the_servers_are_shown_without_addresses(ada):
    found = (await ada.get("/api/plex/servers")).json()["servers"]
    assert [(one["name"], one["owned"], one["current"]) for one in found] == [
        ("Home", True, True),
        ("Far", False, False),
    ]
    assert "127.0.0.1" not in str(found)


async def test_a_server_that_plex_tv_names_twice_is_one(suite, browser):
    plex_tv, address = browser.fakes.plex_tv, browser.fakes.addresses["home"]
    plex_tv.share(plex_tv.accounts[0], browser.fakes.home, [Connection(address, "remote")])
    assert (await browser.sign_in()).status_code == 200
    found = (await browser.get("/api/plex/servers")).json()["servers"]
    assert [(one["id"], one["ways"]) for one in found] == [
        ("machine-home", ["local"]),
        ("machine-far", ["relay"]),
    ]


async def test_the_way_that_answers_is_found_and_remembered(ada):
    assert (await ada.get("/api/plex/libraries")).status_code == 200
    [home, _] = (await ada.get("/api/plex/servers")).json()["servers"]
    assert (home["reached_by"], home["slow"]) == ("local", False)
    assert home["latency_ms"] > 0
    ada.fakes.home.forget()
    await ada.get("/api/plex/ondeck")
    assert ada.fakes.home.count("/identity") == 0


async def test_another_server_can_be_chosen_and_a_relay_is_marked_as_slow(ada):
    changed = await ada.client.put(
        "/api/plex/servers/current", json={"id": "machine-far"}, headers={"Origin": "http://127.0.0.1"}
    )
    assert changed.json()["name"] == "Far"
    assert (await ada.get("/api/plex/ondeck")).status_code == 200
    assert ada.fakes.far.count("/library/onDeck") == 1
    [_, far] = (await ada.get("/api/plex/servers")).json()["servers"]
    assert (far["current"], far["reached_by"], far["slow"]) == (True, "relay", True)
    wrong = await ada.client.put(
        "/api/plex/servers/current", json={"id": "machine-else"}, headers={"Origin": "http://127.0.0.1"}
    )
    assert wrong.status_code == 404


async def test_a_server_that_does_not_answer_says_what_was_tried(ada):
    ada.fakes.home.begin("away")
    answer = await ada.post("/api/plex/servers/machine-home/probe")
    assert (answer.status_code, answer.json()["tried"]) == (502, ["local"])
    assert "127.0.0.1" not in answer.text
    ada.fakes.home.end()
    assert (await ada.post("/api/plex/servers/machine-home/probe")).json()["reached_by"] == "local"


async def test_a_way_that_has_failed_holds_up_the_next_one_no_longer(ada, monkeypatch):
    """At the first way of Home nobody listens: the second one is tried when that is known, and not later."""
    monkeypatch.setattr(servers, "_HEAD_START", 600.0)
    monkeypatch.setattr(servers, "_LATEST_START", 600.0)
    with anyio.fail_after(60):
        answer = await ada.post("/api/plex/servers/machine-home/probe")
    assert (answer.status_code, answer.json()["reached_by"]) == (200, "local")


async def test_an_impostor_at_the_address_is_no_server_of_ours(ada):
    ada.fakes.home.machine = "machine-else"
    assert (await ada.post("/api/plex/servers/machine-home/probe")).status_code == 502


async def test_answers_are_kept_by_account_and_not_by_token(suite, ada):
    ada.fakes.home.play(1001, "102")
    shown = (await ada.get("/api/plex/ondeck")).json()["MediaContainer"]["Metadata"]
    assert [item["title"] for item in shown] == ["The General"]
    guest = suite.browser()
    await guest.sign_in(1)
    assert "Metadata" not in (await guest.get("/api/plex/ondeck")).json()["MediaContainer"]
    for _ in range(5):
        assert (await ada.get("/api/plex/ondeck")).status_code == 200
    assert ada.fakes.home.count("/library/onDeck") == 2


async def test_fifty_who_ask_at_once_cost_one_call(ada):
    await ada.get("/api/plex/servers")
    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(ada.get, "/api/plex/libraries")
    assert ada.fakes.home.count("/library/sections") == 1


async def test_marking_as_seen_forgets_what_is_on_deck_of_that_account_only(suite, ada):
    ada.fakes.home.play(1001, "102")
    guest = suite.browser()
    await guest.sign_in(1)
    for who in (ada, guest):
        await who.get("/api/plex/ondeck")
    assert (await ada.post("/api/plex/scrobble", {"id": "102"})).status_code == 204
    assert "Metadata" not in (await ada.get("/api/plex/ondeck")).json()["MediaContainer"]
    await guest.get("/api/plex/ondeck")
    assert ada.fakes.home.count("/library/onDeck") == 3
    assert ada.fakes.home.count("/:/scrobble", "PUT") == 1
    assert (await ada.post("/api/plex/rate", {"id": "102", "rating": 8})).status_code == 204
    assert ada.fakes.home.rated == {(1001, "102"): 8.0}


async def test_a_server_that_refuses_again_and_again_has_plex_tv_asked_for_a_token_once(ada):
    assert (await ada.get("/api/plex/libraries")).status_code == 200
    ada.fakes.home.begin("401")
    ada.fakes.plex_tv.forget()
    for key in range(101, 111):
        assert (await ada.get(f"/api/plex/metadata/{key}")).json()["code"] == "plex_refused"
    assert ada.fakes.plex_tv.count("/api/v2/resources") == 1


async def test_keys_are_numbers(ada):
    for key in ("102&key=1", "", "../1", "1" * 19):
        assert (await ada.post("/api/plex/scrobble", {"id": key})).status_code == 404, key
    assert ada.fakes.home.count("/:/", "PUT") == 0


async def test_what_goes_on_is_the_owner_s_business(suite, ada):
    guest, nobody = suite.browser(), suite.browser()
    await guest.sign_in(1)
    watcher = {"Authorization": f"Bearer {suite.token('plex:monitor')}"}
    for path in ("activities", "sessions", "watch-history", "media/recent"):
        address = f"/api/plex/{path}"
        assert (await ada.get(address)).status_code == 200, path
        assert (await guest.get(address)).status_code == 403, path
        assert (await nobody.get(address)).status_code == 401, path
        assert (await suite.browser().get(address, headers=watcher)).status_code == 200, path


async def test_activities_say_how_old_they_are(ada):
    first = (await ada.get("/api/plex/activities")).json()
    assert (first["cached"], first["stale"], first["activities"][0]["title"]) == (
        False,
        False,
        "Scanning Films",
    )
    again = await ada.get("/api/plex/activities")
    assert again.json()["cached"]
    assert again.headers["cache-status"].startswith("plughost; hit; ttl=")
    assert ada.fakes.home.count("/activities") == 1


async def test_history_is_read_page_by_page_and_forgotten_on_request(suite, ada):
    for number in range(450):
        ada.fakes.home.watch(1001, "101", at=1_760_000_000 + number)
    found = (await ada.get("/api/plex/watch-history")).json()["MediaContainer"]
    assert (found["size"], found["Metadata"][0]["viewedAt"]) == (450, 1_760_000_449)
    assert ada.fakes.home.count("/status/sessions/history") == 3
    await ada.get("/api/plex/watch-history")
    assert ada.fakes.home.count("/status/sessions/history") == 3
    assert (await ada.post("/api/plex/watch-history/sync")).status_code == 200
    await ada.get("/api/plex/watch-history")
    assert ada.fakes.home.count("/status/sessions/history") == 6
    assert (await suite.host.use(Plex).monitor("history")).data["size"] == 450


async def test_history_that_is_read_each_minute_costs_a_fifth_of_the_queries(suite, ada):
    clock, settings = FakeClock(), {"warm_interval": 1e9, "cleanup_interval": 1e9}
    await suite.host.unload_plugin("cache")
    await suite.host.load_plugin(CachePlugin(clock), settings)
    for _ in range(60):
        assert (await ada.get("/api/plex/watch-history")).status_code == 200
        await clock.advance(60)
    assert ada.fakes.home.count("/status/sessions/history") == 12


@pytest.mark.parametrize("wanted", [True, False])
async def test_only_who_asks_for_it_is_told_of_a_stale_answer_by_the_header_of_before(
    fakes, tmp_path, wanted
):
    clock = FakeClock()
    async with running(fakes, tmp_path, clock, warning_header=wanted) as suite:
        ada = suite.browser()
        await ada.sign_in()
        for path in ("ondeck", "activities"):
            assert "warning" not in (await ada.get(f"/api/plex/{path}")).headers
        fakes.home.begin("away")
        await clock.advance(100)
        for path in ("ondeck", "activities"):
            answer = await ada.get(f"/api/plex/{path}")
            assert answer.headers.get("warning") == ('110 - "Response is Stale"' if wanted else None)


async def test_one_that_is_gone_is_missing_even_if_it_was_kept(suite, ada):
    assert (await ada.get("/api/plex/metadata/101")).status_code == 200
    cache = suite.host.use(CacheManager).get("plex.metadata")
    [key] = await cache.keys()
    await cache.delete(key)
    del ada.fakes.home.library.items["101"]
    for _ in range(3):
        assert (await ada.get("/api/plex/metadata/101")).status_code == 404
    assert ada.fakes.home.count("/library/metadata/101") == 2


async def test_pictures_come_from_the_server_of_who_asks(suite, ada):
    item = (await ada.get("/api/plex/metadata/101")).json()["MediaContainer"]["Metadata"][0]
    answer = await ada.get(f"/api/images/plex{item['thumb']}")
    assert answer.headers["content-type"] == "image/jpeg"
    assert ada.fakes.home.count("/photo/:/transcode") == 1
    assert (await suite.browser().get(f"/api/images/plex{item['thumb']}")).status_code == 401
    ada.fakes.home.begin("404")
    gone = await ada.get(f"/api/images/plex{item['thumb']}?w=92")
    assert (gone.status_code, gone.json()["code"]) == (404, "picture_missing")  # and no placeholder


@pytest.mark.parametrize("plugin", ["cache", "images", "vault", "upstream", "diskcache"])
async def test_each_neighbour_may_go_and_come_back(suite, ada, plugin):
    assert (await ada.get("/api/plex/ondeck")).status_code == 200
    await suite.host.unload_plugin(plugin)
    assert suite.host.plugin("plex").state == "ready"
    answer = await ada.get("/api/plex/continue")
    assert answer.status_code == (503 if plugin in ("vault", "upstream") else 200), answer.text
    assert (await ada.get("/api/plex/servers")).status_code in (200, 503)


async def test_an_account_that_is_linked_after_the_file_was_deleted_is_in_the_file_that_is_there(
    tmp_path: Path,
) -> None:
    path = tmp_path / "plex.db"
    shelf = Shelf(path)
    path.unlink()
    await shelf.link(Account(user_id="ada", plex_id=7, username="ada"), "sealed")
    others = Shelf(path)
    assert await others.account_token("ada") == "sealed"
    await shelf.close()
    await others.close()
