"""Reloads under load: nobody who looks at a library, plays a film or asks for a picture notices."""

from __future__ import annotations

import anyio
import pytest

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("plugin", ["plex", "upstream", "vault", "images", "diskcache"])
async def test_a_reload_under_load_loses_no_request(suite, ada, plugin):
    item = (await ada.get("/api/plex/metadata/101")).json()["MediaContainer"]["Metadata"][0]
    stream = (await ada.post("/api/plex/playback/101")).json()["stream"]
    wanted = [stream, f"/api/images/plex{item['thumb']}", "/api/plex/ondeck", "/api/plex/servers"]
    lost: list[tuple[str, int, str]] = []
    asked, over = 0, anyio.Event()

    async def ask(first: int) -> None:
        nonlocal asked
        number = first
        while not over.is_set():
            # a question nobody has asked, and one of the others
            for path in (f"/api/plex/search?query=film{number}", wanted[number % len(wanted)]):
                answer = await ada.get(path)
                asked += 1
                if answer.status_code != 200:
                    lost.append((path, answer.status_code, answer.text))
            number += 3

    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(ask, number)
        for _ in range(3):
            await suite.host.reload_plugin(plugin)
        over.set()
    assert lost == []
    assert asked >= 6
    assert suite.host.plugin(plugin).generation == 4
