"""A real server, a real client, a real caching proxy: the view counter through kill -9, and two people behind nginx."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import nginx
from tabs import Tab, wait_for

SERVED = Path(__file__).with_name("served_counter.py")


class Served:
    """The counter's process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "s"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.path.unlink(missing_ok=True)
        command = [sys.executable, str(SERVED), str(self.folder / "data"), str(self.path)]
        self.process = subprocess.Popen(command)
        wait_for(self.path, self.process)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture
def served() -> Iterator[Served]:
    folder = Path(tempfile.mkdtemp(prefix="plughost-"))  # socket paths may be 107 signs long
    server = Served(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def test_the_count_goes_on_after_kill_9_and_a_sign_out_holds_in_every_tab(served: Served) -> None:
    first = Tab(served.path)
    assert first.views() is None
    assert first.ask("POST", "/api/auth/login", {"username": "ada"})[0] == 200
    assert [first.views(), first.views()] == [1, 2]
    served.kill()
    served.start()
    assert first.views() == 3
    second, thief = Tab(served.path), Tab(served.path)
    second.cookies, thief.cookies = dict(first.cookies), dict(first.cookies)
    assert second.views() == 4
    assert first.ask("POST", "/api/auth/logout")[0] == 204
    assert first.cookies == {}
    assert [second.views(), thief.views()] == [None, None]
    served.kill()
    served.start()
    thief.cookies = dict(second.cookies) or {"acme_session_plain": "x"}
    assert thief.views() is None


CACHING = """
    proxy_cache_path {folder}/cache keys_zone=all:1m;
    upstream app {{ server unix:{app}; }}
    server {{
        listen unix:{folder}/n;
        location / {{
            proxy_pass http://app; proxy_set_header Host localhost;
            proxy_cache all; proxy_cache_key $request_uri; proxy_cache_valid 200 10m;
            add_header X-Cache $upstream_cache_status always;
        }}
    }}
"""


def test_cve_2023_30861_a_caching_proxy_shows_nobody_the_page_of_somebody_else(served: Served) -> None:
    folder = served.folder / "n"
    folder.mkdir()
    with nginx(folder, CACHING.format(folder=folder, app=served.path)):
        ada, eve, guest = Tab(folder / "n"), Tab(folder / "n"), Tab(folder / "n")
        ada.ask("POST", "/api/auth/login", {"username": "ada"})
        eve.ask("POST", "/api/auth/login", {"username": "eve"})
        for _ in range(2):
            assert ada.ask("GET", "/page")[1] == "hello ada"
            assert eve.ask("GET", "/page")[1] == "hello eve"
            assert guest.ask("GET", "/page")[1] == "hello nobody"
        kept = [ada.ask("GET", "/same")[2].get("X-Cache") for _ in range(2)]
        assert kept == ["MISS", "HIT"], "the proxy does cache what looks at no session"
