"""The media suite behind a real server, in front of its fakes: what the caches save, and what an answer costs.

Arrival rates are named, because a share of saved calls means nothing without one: with a time to live of 5 s, one
read each second can save 5 calls of 6 at most. Needs the distributions of the suite beside ``requirements.txt``.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from harness import surroundings

from plughost import Host
from plughost.http import HttpSettings, create_app
from plughost_media.demo import DemoFakes, settings
from plughost_media.fakes import Served, serving
from plughost_media.plugin import PARTS

PATHS = [
    f"/api/tmdb/trending/{kind}/{window}" for kind in ("all", "movie", "tv") for window in ("day", "week")
]


class Suite:
    """The served host, a client that signed in as the owner, and one with a token."""

    def __init__(self, app: Any, client: httpx2.AsyncClient, fakes: DemoFakes) -> None:
        self.app, self.client, self.fakes = app, client, fakes

    async def sign_in(self) -> None:
        begun = (await self.client.post("/api/auth/plex", json={})).json()
        code = begun["address"].partition("code=")[2].partition("&")[0]
        self.fakes.plex_tv.allow(code, self.fakes.plex_tv.accounts[0])
        answer = await self.client.get(f"/api/auth/plex/{begun['handle']}")
        assert answer.status_code == 200, answer.text

    async def timed(self, path: str, client: httpx2.AsyncClient | None = None, **options: Any) -> float:
        began = time.perf_counter()
        answer = await (client or self.client).get(path, **options)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return (time.perf_counter() - began) * 1000


@asynccontextmanager
async def suite(served: Served, fakes: DemoFakes, *, warm: bool) -> AsyncIterator[Suite]:
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        config = settings(served, fakes, Path(folder))
        config["host"]["allow"] = list(PARTS)
        config["plugins"]["plex"]["config"]["keep_warm"] = warm
        async with Host("media", config=config, environ={}) as host:
            limits = {"auth": 10_000, "read": 1_000_000, "write": 10_000}
            app = create_app(host, settings=HttpSettings(rate_limits=limits))
            server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, access_log=False))
            running = asyncio.create_task(server.serve([listener]))
            address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            async with httpx2.AsyncClient(
                base_url=address, headers={"Origin": address}, timeout=30
            ) as client:
                found = Suite(app, client, fakes)
                await found.sign_in()
                yield found
            server.should_exit = True
            await running
            app.close()


def p99(times: list[float]) -> str:
    times = sorted(times)
    return f"{times[len(times) * 99 // 100]:.1f} ms (median {times[len(times) // 2]:.1f})"


async def saved(one: Suite, rate: float, seconds: float) -> tuple[str, list[float]]:
    """Read activities at a rate; returns the share of calls that the cache saved, and how long reads took."""
    one.fakes.home.forget()
    times: list[float] = []
    for _ in range(round(rate * seconds)):
        began = time.perf_counter()
        times.append(await one.timed("/api/plex/activities"))
        await asyncio.sleep(max(0.0, 1 / rate - (time.perf_counter() - began)))
    calls = one.fakes.home.count("/activities")
    return f"{100 * (1 - calls / len(times)):.1f} % ({calls} calls for {len(times)} reads)", times


async def a_hundred(one: Suite) -> str:
    """A hundred people open the page at once, nothing is kept."""
    one.fakes.tmdb.forget()
    token = one.app.runtime.tokens.create("bench", ["*"], 600)[0]
    headers = {"Authorization": f"Bearer {token}"}
    began = time.perf_counter()
    await asyncio.gather(*(one.timed(path, headers=headers) for _ in range(100) for path in PATHS))
    took = time.perf_counter() - began
    calls, busy = one.fakes.tmdb.count("/3/"), sum(call.status == 429 for call in one.fakes.tmdb.calls)
    return f"{calls} calls for {100 * len(PATHS)} reads of {len(PATHS)} answers, {busy} of them 429, {took:.1f} s"


async def measure(seconds: float) -> list[tuple[str, str, str]]:
    fakes = DemoFakes()
    rows: list[tuple[str, str, str]] = []
    with serving(*fakes.all) as served:
        fakes.furnish(served)
        async with suite(served, fakes, warm=False) as one:
            rows.append(
                ("100 people at once, nothing kept", "1 call for each answer, no 429", await a_hundred(one))
            )
            cached = [await one.timed(PATHS[0]) for _ in range(500)]
            rows.append(("a cached answer, p99", "5 ms", p99(cached)))
            fakes.tmdb.begin("delay", seconds=0.3)
            slow = await one.timed("/api/tmdb/movie/101")
            rows.append(("an answer that is not kept, service of 300 ms", "1 s", f"{slow:.0f} ms"))
            fakes.tmdb.begin("delay", seconds=0.2)
            cold = await one.timed("/api/images/tmdb/poster101v1.jpg", params={"w": "342"})
            fakes.tmdb.end()
            rows.append(("a picture, origin of 200 ms", "500 ms", f"{cold:.0f} ms"))
            pictures = [
                await one.timed("/api/images/tmdb/poster101v1.jpg", params={"w": "342"}) for _ in range(200)
            ]
            rows.append(("a picture that is kept, p99", "15 ms", p99(pictures)))
            fakes.home.begin("delay", seconds=0.3, path="/activities")
            share, _ = await saved(one, 1, seconds)
            rows.append(("activities, service of 300 ms, 1 read/s, calls saved", "83 %", share))
        async with suite(served, fakes, warm=True) as one:
            share, _ = await saved(one, 3, seconds)
            rows.append(("the same, 3 reads/s, kept warm", "90 %", share))
        async with suite(served, fakes, warm=False) as one:
            fakes.home.begin("delay", seconds=5.0, path="/activities")
            cold = await one.timed("/api/plex/activities")
            share, times = await saved(one, 5, seconds)
            rows.append(("activities, service of 5 s: the first read", "5 s", f"{cold / 1000:.1f} s"))
            rows.append(("the same, all further reads at 5/s, p99", "80 ms", p99(times)))
            fakes.home.end()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="how long activities are read at each rate"
    )
    seconds = parser.parse_args().seconds
    print(f"{Path(__file__).name}: {surroundings('plughost', 'httpx2', 'pillow', 'uvicorn')}\n")
    print("| what | aim | measured |\n|---|---|---|")
    for what, aim, measured in asyncio.run(measure(seconds)):
        print(f"| {what} | {aim} | {measured} |", flush=True)


if __name__ == "__main__":
    main()
