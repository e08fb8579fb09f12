"""Two instances in processes of their own, with one Redis between them: to a service they are one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import tomlkit

from plughost.testing import redis_server
from plughost_media.demo import DemoFakes, settings
from plughost_media.fakes import Served, listening, serving
from plughost_media.plugin import PARTS

RATE = 2


class Browser:
    """Somebody's browser at one of the instances."""

    def __init__(
        self, client: httpx2.Client, process: subprocess.Popen[bytes], log: Path, fakes: DemoFakes
    ) -> None:
        self._client, self._process, self._log, self._fakes = client, process, log, fakes

    def sign_in(self) -> httpx2.Client:
        """Wait until the instance answers, and sign in; what it said is the failure when it ends before."""
        deadline = time.monotonic() + 120
        while not self._answers():
            assert self._process.poll() is None, self._log.read_text("utf-8")
            assert time.monotonic() < deadline, self._log.read_text("utf-8")
            time.sleep(0.05)
        begun = self._client.post("/api/auth/plex", json={}).json()
        code = begun["address"].partition("code=")[2].partition("&")[0]
        assert self._fakes.plex_tv.allow(code, self._fakes.plex_tv.accounts[0])
        assert self._client.get(f"/api/auth/plex/{begun['handle']}").status_code == 200
        return self._client

    def _answers(self) -> bool:
        try:
            return self._client.get("/readyz").status_code == 200
        except httpx2.TransportError:
            return False


@contextmanager
def instance(folder: Path, served: Served, fakes: DemoFakes, redis_url: str) -> Iterator[Browser]:
    """``plughost serve`` for the time of the block; gives a way to sign Ada in once it is up."""
    config: dict[str, Any] = settings(served, fakes, folder / "data")
    config["host"]["allow"] = list(PARTS)
    config["plugins"]["cache"] = {"config": {"redis_url": redis_url}}
    config["plugins"]["tmdb"]["config"]["shared_rate"] = RATE
    folder.mkdir()
    (folder / "plughost.toml").write_text(tomlkit.dumps(config), "utf-8")
    with listening() as free:
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "plughost", "serve", "--port", address.rpartition(":")[2], "--no-link"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PLUGHOST_")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=log)
    try:
        with httpx2.Client(base_url=address, headers={"Origin": address}, timeout=60) as client:
            yield Browser(client, process, folder / "log", fakes)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def test_they_share_one_rate_to_tmdb_and_what_one_has_asked_the_other_knows(tmp_path: Path) -> None:
    fakes = DemoFakes()
    with ExitStack() as stack:
        url = stack.enter_context(redis_server())
        served = stack.enter_context(serving(*fakes.all))
        fakes.furnish(served)
        started = [
            stack.enter_context(instance(tmp_path / name, served, fakes, url)) for name in ("one", "two")
        ]
        one, two = (browser.sign_in() for browser in started)
        assert one.get("/api/tmdb/movie/101").status_code == 200
        assert two.get("/api/tmdb/movie/101").status_code == 200
        assert fakes.tmdb.count("/3/movie/101") == 1
        fakes.tmdb.forget()
        with ThreadPoolExecutor(10) as people:
            first = people.map(lambda number: one.get(f"/api/tmdb/movie/{number}"), range(102, 107))
            second = people.map(lambda number: two.get(f"/api/tmdb/movie/{number}"), range(107, 112))
            statuses = [[answer.status_code for answer in answers] for answers in (first, second)]
        asked = sorted(call.at for call in fakes.tmdb.calls if call.path.startswith("/3/"))
        seconds = asked[-1] - asked[0]
        # so many fit into windows of a second each; two that do not know of each other would ask twice as often
        assert len(asked) <= RATE * (seconds + 2), (asked, statuses)
        assert all(200 in of_one for of_one in statuses), statuses
