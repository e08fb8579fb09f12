"""Playback: a ticket stands for the token, and playlists lead nowhere else."""

from __future__ import annotations

import pytest

from plughost_plex.playback import rewritten

pytestmark = pytest.mark.anyio


async def test_a_film_is_played_through_us(ada):
    playing = (await ada.post("/api/plex/playback/101", {"bandwidth": 6000})).json()
    assert (playing["bitrate"], playing["resolution"]) == (4000, "1280x720")
    assert playing["decision"] == "Direct play not available; Conversion OK."
    master = await ada.get(playing["stream"])
    base = playing["stream"].rpartition("/")[0]
    part = master.text.splitlines()[-1]
    index = await ada.get(f"{base}/{part}")
    assert "00000.m4s" in index.text
    piece = await ada.get(f"{base}/{part.rpartition('/')[0]}/00000.m4s")
    assert (piece.headers["content-type"], len(piece.content) > 1000) == ("video/mp4", True)


async def test_a_ticket_is_worth_nothing_in_another_browser_or_with_another_sign(suite, ada):
    stream = (await ada.post("/api/plex/playback/101")).json()["stream"]
    thief = suite.browser()
    await thief.sign_in(1)
    assert (await thief.get(stream)).status_code == 403
    ticket = stream.split("/")[-2]
    for wrong in (ticket[:-1], ticket + "A", "x"):
        assert (await ada.get(f"/api/plex/stream/{wrong}/start.m3u8")).status_code == 403


async def test_only_parts_of_streams_are_passed_on(ada):
    base = (await ada.post("/api/plex/playback/101")).json()["stream"].rpartition("/")[0]
    ada.fakes.home.forget()
    up = ("../../../library/sections", "session/a/base/..%2f..%2fx.ts")
    for part in (*up, "decision", "stop", "session/a/base/x.html"):
        assert (await ada.get(f"{base}/{part}")).status_code == 404, part
    assert ada.fakes.home.calls == []


async def test_a_relay_gets_no_more_than_it_can_carry(ada):
    await ada.client.put(
        "/api/plex/servers/current", json={"id": "machine-far"}, headers={"Origin": "http://127.0.0.1"}
    )
    await ada.get("/api/plex/libraries")
    assert (await ada.post("/api/plex/playback/101", {"bandwidth": 50_000})).json()["bitrate"] == 2000


async def test_a_page_instead_of_a_playlist_is_not_passed_on(ada):
    stream = (await ada.post("/api/plex/playback/101")).json()["stream"]
    ada.fakes.home.begin("garbage")
    assert (await ada.get(stream)).status_code == 502


def test_addresses_in_playlists_become_ours_or_go() -> None:
    origin, prefix = "http://10.0.0.2:32400", "/api/plex/stream/T/"
    lines = {
        "00000.ts?X-Plex-Token=secret": "00000.ts",
        "/video/:/transcode/universal/session/1/base/0.ts?X-Plex-Token=secret": f"{prefix}session/1/base/0.ts",
        f"{origin}/video/:/transcode/universal/session/1/base/0.ts": f"{prefix}session/1/base/0.ts",
        '#EXT-X-MAP:URI="init.mp4?X-Plex-Token=secret"': '#EXT-X-MAP:URI="init.mp4"',
        "#EXTINF:2.5,": "#EXTINF:2.5,",
        "https://evil.example/0.ts": None,
        "//evil.example/0.ts": None,
        "../../../../library/sections": None,
        "/library/parts/1/file.mp4": None,
        '#EXT-X-KEY:METHOD=AES-128,URI="https://evil.example/key"': None,
    }
    text = rewritten("\n".join(("#EXTM3U", *lines)), origin, prefix)
    assert text.splitlines() == ["#EXTM3U", *(shown for shown in lines.values() if shown is not None)]
