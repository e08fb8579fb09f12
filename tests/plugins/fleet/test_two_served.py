"""Two hosts that are really served, and changes that go from one to the other by the command."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any
from zipfile import ZipFile

import httpx2
import pytest

from servers import end, free_port

PATIENCE = 100.0

LAMP = """
import msgspec
from plughost import Plugin, hookimpl
from plughost.http import PUBLIC, Route
from starlette.responses import JSONResponse

class Config(msgspec.Struct):
    colour: str = "white"
    broken: bool = False

class Lamp(Plugin):
    version = "{version}"
    Config = Config

    async def start(self, context):
        self.config = context.config

    @hookimpl
    def register_routes(self, context):
        return [Route("/lamp", self.light, guard=PUBLIC)]

    async def light(self, request):
        if self.config.broken:
            raise RuntimeError("the bulb is broken")
        return JSONResponse({{"colour": self.config.colour, "version": "{version}"}})
"""

FILE = """
[host]
name = "shop"
allow = ["fleet", "lamp"]

[plugins.lamp]
module = "served_lamp:Lamp"
path = "old.zip"

[plugins.fleet.config]
path = "fleet.db"
secret_file = "secret"
interval = 0.5
allow_urls = ["{place}/"]
"""


class Hosts:
    """The two of them, and the command that steers both."""

    def __init__(self, folder: Path, place: str) -> None:
        self.folder = folder
        self.place = place
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith("PLUGHOST_")}
        self.ports: dict[str, int] = {}
        (folder / "plughost.toml").write_text(FILE.format(place=place))
        (folder / "secret").write_text("s" * 48)
        (folder / "secret").chmod(0o600)

    @contextmanager
    def serving(self, name: str) -> Iterator[None]:
        port = self.ports[name] = free_port()
        environ = {"PLUGHOST_HOST__DATA_DIR": name, "PLUGHOST_PLUGINS__FLEET__CONFIG__MEMBER_NAME": name}
        with (self.folder / f"{name}.err").open("w") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "plughost", "serve", "--port", str(port), "--drain-notice", "0"],
                cwd=self.folder, env=self.environ | environ, stdout=subprocess.DEVNULL, stderr=err,
            )  # fmt: skip
        try:
            yield
        finally:
            end(process)

    def light(self, name: str) -> httpx2.Response:
        return httpx2.get(f"http://127.0.0.1:{self.ports[name]}/lamp", timeout=PATIENCE)

    def until_served(self) -> None:
        deadline = time.monotonic() + PATIENCE
        for name in self.ports:
            while True:
                try:
                    if self.light(name).status_code == 200:
                        break
                except httpx2.TransportError:
                    pass
                assert time.monotonic() < deadline, (self.folder / f"{name}.err").read_text()
                time.sleep(0.1)

    def fleet(self, *words: str) -> tuple[int, dict[str, Any]]:
        done = subprocess.run(
            [sys.executable, "-m", "plughost", "fleet", *words, "--json"],
            cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    @contextmanager
    def under_load(self) -> Iterator[None]:
        """Have both asked all the time."""
        over = Event()

        def ask(name: str) -> None:
            while not over.is_set():
                self.light(name)

        threads = [Thread(target=ask, args=(name,)) for name in self.ports]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    for name, version in (("old.zip", "1.0"), ("new.zip", "2.0")):
        with ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("served_lamp.py", LAMP.format(version=version))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path)))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        both = Hosts(tmp_path, f"http://127.0.0.1:{server.server_port}")
        with ExitStack() as stack:
            for name in ("north", "south"):
                stack.enter_context(both.serving(name))
            both.until_served()
            yield both
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.timeout(400)
def test_settings_and_packages_reach_both_hosts_and_what_makes_requests_fail_reaches_one(
    hosts: Hosts,
) -> None:
    with hosts.under_load():
        code, found = hosts.fleet("config", "push", "lamp", "broken=true", "--settle", "60")
    assert (code, found["state"]) == (3, "reverted")
    assert found["results"] == {"north": "taken back", "south": "not yet"}
    assert "calls failed, elsewhere 0 of" in found["reason"]
    assert [hosts.light(name).status_code for name in ("north", "south")] == [200, 200]

    quick = ("--settle", "0.2")
    code, found = hosts.fleet("config", "push", "lamp", "colour=red", *quick)
    assert (code, found["results"]) == (0, {"north": "applied", "south": "applied"})
    digest = hashlib.sha256((hosts.folder / "new.zip").read_bytes()).hexdigest()
    package = ("upgrade", "lamp", "--version", "2.0", "--url")
    code, found = hosts.fleet(*package, f"{hosts.place}/new.zip", "--sha256", digest, *quick)
    assert (code, found["state"]) == (0, "done"), found
    lit = [hosts.light(name).json() for name in ("north", "south")]
    assert lit == [{"colour": "red", "version": "2.0"}] * 2

    code, found = hosts.fleet("config", "rollback", "3", *quick)
    assert (code, found["state"]) == (0, "done"), found
    lit = [hosts.light(name).json() for name in ("north", "south")]
    assert lit == [{"colour": "red", "version": "1.0"}] * 2

    code, found = hosts.fleet(*package, f"{hosts.place}/new.zip", "--sha256", "0" * 64, *quick)
    assert (code, found["state"]) == (3, "reverted")
    code, found = hosts.fleet(*package, "https://elsewhere.example/new.zip", "--sha256", digest, *quick)
    assert (code, found["state"]) == (3, "reverted")
    assert "allow_urls" in found["reason"]
    assert [hosts.light(name).json()["version"] for name in ("north", "south")] == ["1.0", "1.0"]
