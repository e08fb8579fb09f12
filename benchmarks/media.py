"""The media suite behind ``plughost serve``, in front of its fakes: what the caches save, and what an answer costs.

The host is a process of its own; the fakes are in this one, and so is the one client. Arrival rates are named, because
a share of saved calls means nothing without one: with a time to live of 5 s, one read each second can save 5 calls of 6
at most. Needs the distributions of the suite beside ``requirements.txt``.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import tomlkit
from harness import surroundings

from plughost import Host
from plughost.http import create_app
from plughost.testing import FakeClock
from plughost_media.demo import DemoFakes, settings
from plughost_media.fakes import FakeUpstream, Served, serving
from plughost_media.plugin import PARTS

TRENDING = [
    f"/api/tmdb/trending/{kind}/{window}" for kind in ("all", "movie", "tv") for window in ("day", "week")
]
PICTURE = "/api/images/tmdb/poster101v1.jpg?w=342"
ACTIVITIES = "/api/plex/activities"


@dataclass
class Endpoint:
    """A row of the table of before and after: what is read, and whom that would ask without a cache."""

    path: str
    fake: str
    upstream: str
    calls_for_one: int = 1
    times: list[float] = field(default_factory=list)


ENDPOINTS = (
    Endpoint("/api/plex/activities", "home", "/activities"),
    Endpoint("/api/plex/sessions", "home", "/status/sessions?"),
    Endpoint("/api/plex/watch-history", "home", "/status/sessions/history/all"),
    Endpoint("/api/plex/media/recent", "home", "/library/recentlyAdded"),
    Endpoint("/api/plex/libraries", "home", "/library/sections?"),
    Endpoint("/api/plex/library/1/all", "home", "/library/sections/1/all"),
    Endpoint("/api/plex/metadata/101", "home", "/library/metadata/101"),
    Endpoint("/api/plex/ondeck", "home", "/library/onDeck"),
    Endpoint("/api/tmdb/trending/movie/week", "tmdb", "/3/trending/movie/week"),
    Endpoint("/api/tmdb/movie/101", "tmdb", "/3/movie/101"),
    Endpoint("/api/plex/stats/dashboard", "", "", calls_for_one=5),
)


class Suite:
    """A host that ``plughost serve`` runs, and somebody who has signed in there as the owner of a server."""

    def __init__(self, folder: Path, fakes: DemoFakes, address: str, process: int) -> None:
        self.folder, self.fakes, self.address, self._process = folder, fakes, address, process
        self._parts = urlsplit(address)
        self._connection = http.client.HTTPConnection(
            self._parts.hostname or "", self._parts.port, timeout=60
        )
        self.headers = {"Origin": address}

    def sign_in(self) -> None:
        with httpx2.Client(base_url=self.address, headers=self.headers, timeout=60) as client:
            begun = client.post("/api/auth/plex", json={}).json()
            code = begun["address"].partition("code=")[2].partition("&")[0]
            self.fakes.plex_tv.allow(code, self.fakes.plex_tv.accounts[0])
            answer = client.get(f"/api/auth/plex/{begun['handle']}")
            assert answer.status_code == 200, answer.text
            cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        self.headers["Cookie"] = cookies

    def token(self) -> dict[str, str]:
        command = [
            *_plughost("admin", "token", "create"), "--name", "bench", "--scope", "*", "--json",
        ]  # fmt: skip
        made = subprocess.run(
            command, cwd=self.folder, env=_environment(), check=True, capture_output=True, text=True
        )
        return {"Authorization": f"Bearer {json.loads(made.stdout)['token']}"}

    def read(self, path: str) -> bytes:
        """Read over the one connection that stays open."""
        try:
            self._connection.request("GET", path, headers=self.headers)
            answer = self._connection.getresponse()
        except http.client.RemoteDisconnected:  # the server does not keep one open that nobody uses
            self._connection.request("GET", path, headers=self.headers)
            answer = self._connection.getresponse()
        body = answer.read()
        assert answer.status == 200, (path, answer.status, body)
        return body

    def timed(self, path: str) -> float:
        """Return the milliseconds that one read took."""
        began = time.perf_counter()
        self.read(path)
        return (time.perf_counter() - began) * 1000

    def busy(self) -> float:
        """Return the milliseconds of processor time that the host has taken so far."""
        fields = Path(f"/proc/{self._process}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")

    def kept(self, path: str, reads: int) -> str:
        """Read what is kept again and again; tells how long that took, and how much of it was the host's own work."""
        began = self.busy()
        times = [self.timed(path) for _ in range(reads)]
        return f"{p99(times)}; {(self.busy() - began) / reads:.2f} ms of processor"

    def at_rate(self, path: str, rate: float, seconds: float) -> list[float]:
        """Read at a rate, whatever a read takes."""
        times, begin = [], time.perf_counter()
        for number in range(round(rate * seconds)):
            time.sleep(max(0.0, begin + number / rate - time.perf_counter()))
            times.append(self.timed(path))
        return times


def _plughost(*words: str) -> list[str]:
    return [sys.executable, "-m", "plughost", *words]


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PLUGHOST_")}


@contextmanager
def suite(served: Served, fakes: DemoFakes, *, warm: bool, **plugins: Any) -> Iterator[Suite]:
    """Serve the suite in a process of its own until the block ends."""
    with tempfile.TemporaryDirectory() as name:
        folder, config = Path(name), settings(served, fakes, Path(name) / "data")
        config["host"]["allow"] = [*PARTS, "admin"]
        config["http"] = {"rate_limits": {"auth": 10_000, "read": 1_000_000, "write": 10_000}}
        config["plugins"]["plex"]["config"]["keep_warm"] = warm
        config["plugins"].update(plugins)
        (folder / "plughost.toml").write_text(tomlkit.dumps(config))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = _plughost(
            "serve", "-c", "plughost.toml", "--port", str(port), "--no-access-log", "--no-link"
        )
        with subprocess.Popen(
            command, cwd=folder, env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                found = Suite(folder, fakes, f"http://127.0.0.1:{port}", process.pid)
                _until(lambda: httpx2.get(f"{found.address}/readyz").status_code == 200)
                found.sign_in()
                yield found
            finally:
                process.terminate()


def _until(true: Callable[[], bool]) -> None:
    for _ in range(1200):
        try:
            if true():
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.05)
    raise RuntimeError("the server did not come up")


def p99(times: list[float]) -> str:
    times = sorted(times)
    return f"{times[len(times) * 99 // 100]:.1f} ms (median {times[len(times) // 2]:.1f})"


def saved(fake: FakeUpstream, path: str, reads: int) -> str:
    calls = fake.count(path)
    return f"{100 * (1 - calls / reads):.1f} % ({calls} calls for {reads} reads)"


async def a_hundred(one: Suite) -> str:
    """A hundred people open the page at once, nothing is kept."""
    one.fakes.tmdb.forget()
    limits = httpx2.Limits(max_connections=100, max_keepalive_connections=100)
    async with httpx2.AsyncClient(
        base_url=one.address, headers=one.token(), timeout=60, limits=limits
    ) as client:

        async def person() -> None:
            answers = await asyncio.gather(*(client.get(path) for path in TRENDING))
            assert {answer.status_code for answer in answers} == {200}

        began = time.perf_counter()
        await asyncio.gather(*(person() for _ in range(100)))
        took = time.perf_counter() - began
    calls, busy = one.fakes.tmdb.count("/3/"), sum(call.status == 429 for call in one.fakes.tmdb.calls)
    return f"{calls} calls for {100 * len(TRENDING)} reads of {len(TRENDING)} answers, {busy} of them 429, {took:.1f} s"


Rows = list[tuple[str, str, str]]


def answers_and_pictures(one: Suite) -> Rows:
    """What is kept and what is not, of TMDB."""
    fakes = one.fakes
    rows = [
        ("100 people at once, nothing kept", "1 call for each answer, no 429", asyncio.run(a_hundred(one)))
    ]
    rows.append(("a cached answer, p99", "5 ms", one.kept(TRENDING[0], 1000)))
    fakes.tmdb.begin("delay", seconds=0.3)
    rows.append(
        ("an answer that is not kept, service of 300 ms", "1 s", f"{one.timed('/api/tmdb/movie/101'):.0f} ms")
    )
    fakes.tmdb.begin("delay", seconds=0.2)
    pictures = [one.timed(f"/api/images/tmdb/poster{number}v1.jpg?w=342") for number in range(101, 118)]
    fakes.tmdb.end()
    rows.append(
        ("a picture that is not kept, origin of 200 ms, slowest of 17", "500 ms", f"{max(pictures):.0f} ms")
    )
    rows.append(("a picture that is kept, p99", "15 ms", one.kept(PICTURE, 500)))
    return rows


def dashboard(one: Suite) -> Rows:
    """Statistics that were computed before anybody asked."""
    calls = len(one.fakes.home.calls)
    told = one.kept("/api/plex/stats/dashboard", 500)
    more = len(one.fakes.home.calls) - calls
    return [("the dashboard, p99", "10 ms, no call", f"{told}; {more} calls")]


def forget(one: Suite) -> None:
    """Begin anew: since somebody signed in, statistics have been computed, and what they are made of is kept."""
    httpx2.post(f"{one.address}/api/plex/cache/clear", headers=one.token()).raise_for_status()
    one.fakes.home.forget()
    one.fakes.tmdb.forget()


def activities(one: Suite, rate: float, seconds: float, what: str, aim: str) -> Rows:
    """Activities of a server that takes 300 ms."""
    one.fakes.home.begin("delay", seconds=0.3, path="/activities")
    forget(one)
    times = one.at_rate(ACTIVITIES, rate, seconds)
    one.fakes.home.end()
    return [(what, aim, saved(one.fakes.home, "/activities", len(times)))]


def slow_activities(one: Suite, seconds: float) -> Rows:
    """Activities of a server that takes 5 s."""
    one.fakes.home.begin("delay", seconds=5.0, path="/activities")
    forget(one)
    cold = one.timed(ACTIVITIES)
    times = one.at_rate(ACTIVITIES, 5, seconds)
    one.fakes.home.end()
    return [
        ("activities, service of 5 s: the first read", "5 s", f"{cold / 1000:.1f} s"),
        ("the same, all further reads at 5/s, p99", "80 ms", p99(times)),
    ]


def before_and_after(one: Suite, seconds: float) -> list[tuple[str, ...]]:
    """Read each endpoint at 2/s, of services that take 300 ms; before is what as many calls to them would take."""
    fakes = {fake.name: fake for fake in one.fakes.all}
    for fake in (one.fakes.home, one.fakes.tmdb):
        fake.begin("delay", seconds=0.3)
    forget(one)
    begin = time.perf_counter()
    for number in range(round(2 * seconds)):
        time.sleep(max(0.0, begin + number / 2 - time.perf_counter()))
        for endpoint in ENDPOINTS:
            endpoint.times.append(one.timed(endpoint.path))
    rows = []
    for endpoint in ENDPOINTS:
        reads, path = len(endpoint.times), endpoint.upstream.rstrip("?")
        calls = 0
        if endpoint.fake:
            exact = endpoint.upstream.endswith("?")
            found = [call.path for call in fakes[endpoint.fake].calls]
            calls = sum(one == path if exact else one.startswith(path) for one in found)
        before = reads * endpoint.calls_for_one
        rows.append(
            (
                endpoint.path, f"{before}, 300 ms" if endpoint.fake else f"{before}, 1500 ms",
                f"{calls}, {statistics.median(endpoint.times):.1f} ms", f"{100 * (1 - calls / before):.1f} %",
            )
        )  # fmt: skip
    for fake in (one.fakes.home, one.fakes.tmdb):
        fake.end()
    return rows


def hit_rates(one: Suite, statistics_saved: str) -> Rows:
    """What the host itself says of its caches after all that; statistics are computed and not loaded."""
    found = httpx2.get(f"{one.address}/api/plex/cache/stats", headers=one.token()).json()["caches"]
    shown = ", ".join(
        f"{name.partition('.')[2]} {100 * figures['hit_rate']:.0f} %" for name, figures in found.items()
    )
    shown += f", statistics {statistics_saved}"
    return [("hit rates at 2 reads/s", "activities and history 80 %, statistics 100 %", shown)]


async def history(served: Served, fakes: DemoFakes, folder: Path) -> Rows:
    """One read each minute, for an hour of a clock that is set: what the caches keep grows old by it."""
    clock, config = FakeClock(), settings(served, fakes, folder)
    config["plugins"]["plex"]["config"]["keep_warm"] = False
    config["host"]["allow"].remove("cache")
    async with Host("media", config=config, environ={}) as host:
        (cache,) = entry_points(group="plughost.plugins", name="cache")
        await host.load_plugin(cache.load()(clock), {"warm_interval": 1e9, "cleanup_interval": 1e9})
        app = create_app(host)
        transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 1))
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as ada:
            begun = (await ada.post("/api/auth/plex", json={}, headers={"Origin": "http://127.0.0.1"})).json()
            code = begun["address"].partition("code=")[2].partition("&")[0]
            fakes.plex_tv.allow(code, fakes.plex_tv.accounts[0])
            (await ada.get(f"/api/auth/plex/{begun['handle']}")).raise_for_status()
            (
                await ada.post("/api/plex/watch-history/sync", headers={"Origin": "http://127.0.0.1"})
            ).raise_for_status()
            fakes.home.forget()
            for _ in range(60):
                (await ada.get("/api/plex/watch-history")).raise_for_status()
                await clock.advance(60)
        app.close()
    told = saved(fakes.home, "/status/sessions/history", 60).replace("calls", "queries")
    return [
        ("history, kept for 300 s, one read each 60 s of a clock that is set, queries saved", "80 %", told)
    ]


def memory() -> Rows:
    """Ten thousand details of films, each as TMDB sends it: kept in a process of its own."""
    code = (
        "import asyncio, json, os\n"
        "from pathlib import Path\n"
        "from plughost import Host\n"
        "from plughost.contracts import CacheManager\n"
        "def resident():\n"
        "    return int(Path('/proc/self/statm').read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE')\n"
        "async def main():\n"
        "    async with Host('bench', config={'host': {'allow': ['cache']}}, environ={}) as host:\n"
        "        cache = host.use(CacheManager).get('tmdb.details', max_entries=10_000)\n"
        "        before = resident()\n"
        "        for number in range(10_000):\n"
        "            body = json.dumps({'id': number, 'overview': f'{number} ' * 500}).encode()\n"
        "            await cache.set(f'movie/{number}', {'body': body, 'etag': f'{number:032x}'}, 3600)\n"
        "        print(resident() - before, len(body), cache.stats().entries)\n"
        "asyncio.run(main())\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], env=_environment(), check=True, capture_output=True, text=True
    )
    more, size, entries = map(int, ran.stdout.split())
    told = f"{more / 1e6:.0f} MB ({entries} kept, {size} bytes each)"
    return [("memory for 10,000 details", "60 MB", told)]


def disk(served: Served, fakes: DemoFakes) -> Rows:
    """All pictures in all sizes, with room for a fifth of them."""
    most, largest = 256 * 1024, 0
    with suite(served, fakes, warm=False, diskcache={"config": {"max_bytes": most}}) as one:
        for number in range(101, 118):
            for width in (92, 185, 342, 500):
                one.read(f"/api/images/tmdb/poster{number}v1.jpg?w={width}")
                files = [
                    path.stat().st_size
                    for path in one.folder.rglob("*")
                    if path.is_file() and "disk" in str(path)
                ]
                largest = max(largest, sum(files))
    return [
        (
            "disk, of a bound of 256 KiB, the most that was there",
            "bound and a file",
            f"{largest / 1024:.0f} KiB",
        )
    ]


def measure(seconds: float) -> tuple[Rows, list[tuple[str, ...]]]:
    rows: Rows = []
    fakes = DemoFakes()
    with serving(*fakes.all) as served:
        fakes.furnish(served)
        with suite(served, fakes, warm=False) as one:
            rows += answers_and_pictures(one) + dashboard(one)
            rows += activities(
                one, 1, seconds, "activities, service of 300 ms, 1 read/s, calls saved", "83 %"
            )
        with suite(served, fakes, warm=True) as one:
            rows += activities(one, 3, seconds, "the same, 3 reads/s, kept warm", "90 %")
        with suite(served, fakes, warm=False) as one:
            rows += slow_activities(one, seconds)
        with suite(served, fakes, warm=True) as one:
            table = before_and_after(one, seconds)
            rows += hit_rates(one, table[-1][-1])
        rows += disk(served, fakes)
        with tempfile.TemporaryDirectory() as name:
            rows += asyncio.run(history(served, fakes, Path(name)))
    return rows + memory(), table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long is read at each rate")
    seconds = parser.parse_args().seconds
    print(f"{Path(__file__).name}: {surroundings('plughost', 'pillow', 'uvicorn', 'uvloop')}")
    print(f"load at the beginning: {os.getloadavg()[0]:.1f}\n")
    rows, table = measure(seconds)
    print("| what | aim | measured |\n|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print("\n| endpoint | before: calls, each answer | after: calls, median | saved |\n|---|---|---|---|")
    for line in table:
        print(f"| {' | '.join(line)} |")
    print(f"\nload at the end: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
