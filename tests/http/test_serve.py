"""``plughost serve`` as a person runs it: a process of its own, a printed link, a graceful end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

CONFIG = """
[host]
allow = ["admin", "sessions", "cache", "slow"]
data_dir = "data"
[plugins.admin]
module = "plughost.plugins.admin:AdminPlugin"
[plugins.sessions]
module = "plughost.plugins.sessions.plugin:SessionsPlugin"
[plugins.cache]
module = "plughost.plugins.cache:CachePlugin"
"""

SLOW = """
import anyio
from starlette.responses import PlainTextResponse
from plughost import Plugin, hookimpl
from plughost.http import PUBLIC, Route

class Slow(Plugin):
    @hookimpl
    def register_routes(self):
        async def slow(request):
            await anyio.sleep(1)
            return PlainTextResponse("done")
        return [Route("/slow", slow, guard=PUBLIC)]
"""

Run = Callable[..., "Process"]


class Process:
    """A running ``plughost serve`` and what it said."""

    def __init__(self, folder: Path, *options: str) -> None:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("PLUGHOST_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "plughost", "serve", "--port", "0", *options],
            cwd=folder, env={**environ, "PYTHONPATH": str(folder)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def line(self, beginning: str) -> str:
        """Return the rest of the line that begins so; fails when the process ends before."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(beginning):
                return line.removeprefix(beginning).strip()
        raise AssertionError(self.process.stderr.read() if self.process.stderr else "it ended")

    def stop(self, with_signal: int = signal.SIGTERM) -> tuple[int, str]:
        """Ask it to stop; return its exit code and what it said on standard error."""
        self.process.send_signal(with_signal)
        _, err = self.process.communicate(timeout=30)
        return self.process.returncode, err


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    (tmp_path / "plughost.toml").write_text(CONFIG)
    started: list[Process] = []

    def start(*options: str) -> Process:
        started.append(Process(tmp_path, *options))
        return started[-1]

    yield start
    for process in started:
        process.process.kill()
        process.process.communicate()


def test_the_printed_link_signs_in_and_all_tabs_are_filled(run, tmp_path):
    process = run()
    admin = process.line("Admin page: ")
    link = re.search(r"http\S+", process.line("One-time sign-in link"))
    assert link is not None
    with httpx2.Client(follow_redirects=True) as browser:
        page = browser.get(link[0])
        assert str(page.url) == admin
        for tab in ("Sessions", "Cache", "Plugins", "Apps", "Health"):
            shown = browser.get(f"{admin}/{tab.lower()}")
            assert shown.status_code == 200
            assert f"<h1>{tab}</h1>" in shown.text
            assert "notice bad" not in shown.text
    with httpx2.Client() as stranger:
        assert stranger.get(link[0]).status_code == 401
        assert stranger.get(admin).status_code == 401
        assert stranger.get(admin.replace("/admin/system", "/metrics")).status_code == 200
    code, err = process.stop()
    assert code == 0
    assert link[0].partition("code=")[2] not in err
    assert (tmp_path / "data" / "access.sqlite3").stat().st_mode & 0o077 == 0


def test_a_stop_lets_the_request_under_way_finish_and_ends_streams(run, tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    with (tmp_path / "plughost.toml").open("a") as file:
        file.write('[plugins.slow]\nmodule = "slow:Slow"\n')
    process = run()
    link = re.search(r"http\S+", process.line("One-time sign-in link"))
    assert link is not None
    port = int(re.search(r":(\d+)/", link[0])[1])  # type: ignore[index]
    with httpx2.Client(follow_redirects=True, timeout=30) as browser:
        browser.get(link[0])
        events = link[0].partition("/admin/")[0] + "/admin/api/events"
        with browser.stream("GET", events) as stream, socket.create_connection(("127.0.0.1", port)) as slow:
            lines = stream.iter_lines()
            next(lines)
            slow.sendall(b"GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            time.sleep(0.3)  # another process: there is nothing to wait for that it has the request
            process.process.send_signal(signal.SIGINT)
            answer = b""
            while chunk := slow.recv(65536):
                answer += chunk
            assert answer.startswith(b"HTTP/1.1 200")
            assert answer.endswith(b"done")
            list(lines)
    assert process.process.wait(30) == 0


def test_the_log_can_be_read_by_programs(run):
    process = run("--log-format", "json", "--json")
    document: dict[str, Any] = {}
    text = ""
    assert process.process.stdout is not None
    for line in process.process.stdout:
        text += line
        if line.startswith("}"):
            document = json.loads(text)
            break
    assert set(document) == {"address", "admin", "sign_in"}
    httpx2.get(f"{document['address']}/livez?secret=1")
    _, err = process.stop()
    logged = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    access = [entry["message"] for entry in logged if entry["logger"] == "plughost.access"]
    assert len(access) == 1
    assert "GET /livez 200" in access[0]
    assert "secret" not in err


NOISY = """
import logging, sys, threading, warnings
from plughost import Plugin
from plughost.http import PUBLIC, Route
from plughost import hookimpl

class Noisy(Plugin):
    async def start(self, context):
        warnings.warn("the lamp is old")
        thread = threading.Thread(target=lambda: 1 / 0, name="smoky")
        thread.start()
        thread.join()
        logging.getLogger("lamp.oil").error("nearly empty, %d drops", 3)
        logging.getLogger("lamp.oil").error("%d drops", "three")
        context.log.error("flickers", room="hall")

    @hookimpl
    def register_routes(self):
        async def burst(request):
            raise RuntimeError("burst\\nin two lines")
        return [Route("/burst", burst, guard=PUBLIC)]
"""


def test_every_line_of_standard_error_is_one_json_object_when_that_is_asked_for(run, tmp_path):
    (tmp_path / "noisy.py").write_text(NOISY)
    (tmp_path / "dark.py").write_text("raise OSError('no lamp oil')")
    config = CONFIG.replace('"slow"]', '"noisy", "dark"]')
    more = '[plugins.noisy]\nmodule = "noisy:Noisy"\n[plugins.dark]\nmodule = "dark:P"\n'
    (tmp_path / "plughost.toml").write_text(config + more)
    process = run("--log-format", "json")
    address = process.line("Admin page: ").partition("/admin")[0].split()[-1]
    assert httpx2.get(f"{address}/burst").status_code == 500
    (tmp_path / "plughost.toml").write_text("[host\n")
    process.process.send_signal(signal.SIGHUP)
    assert process.process.stderr is not None
    lines = []
    for line in process.process.stderr:
        lines.append(json.loads(line))
        if "Nothing was changed" in lines[-1]["message"]:
            break
    code, err = process.stop()
    assert code == 0
    lines += map(json.loads, err.splitlines())
    assert all({"level", "logger", "message", "timestamp"} <= line.keys() for line in lines)
    said = "\n".join(f"{line['message']} {line.get('exception', '')}" for line in lines)
    for part in (
        *("the lamp is old", "smoky", "ZeroDivisionError", "nearly empty, 3 drops", "flickers", "burst"),
        "a message that cannot be made: TypeError",
        *("plugin 'dark' failed", "no lamp oil", "GET /burst 500", "Nothing was changed"),
    ):
        assert part in said, part
    (report,) = [line for line in lines if "plugins" in line]
    assert {row["name"]: row["state"] for row in report["plugins"]}.items() >= {
        "noisy": "ready",
        "dark": "failed",
    }.items()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "many"], "many"),
        (["--uds", "a", "--port", "1", "--fd", "3"], "Error"),
        (["--no-such"], "--no-such"),
    ],
)
def test_a_mistake_in_the_arguments_is_a_json_object_too(arguments, words, tmp_path):
    ran = subprocess.run(
        [sys.executable, "-m", "plughost", "serve", "--log-format=json", *arguments],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode != 0
    (line,) = ran.stderr.splitlines()
    assert words in json.loads(line)["message"]


def test_a_public_address_is_refused_until_somebody_can_be_told_from_anybody(run, tmp_path):
    process = run("--host", "0.0.0.0")  # noqa: S104 - it is refused
    out, err = process.process.communicate(timeout=30)
    assert process.process.returncode == 1
    assert "plughost admin token create" in err
    assert "listening" not in out
    made = subprocess.run(
        [sys.executable, "-m", "plughost", "admin", "token", "create", "--name", "ops", "--scope", "*", "--json"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    token = json.loads(made.stdout)["token"]
    process = run("--host", "0.0.0.0")  # noqa: S104 - a token guards it
    admin = process.line("Admin page: ").replace("0.0.0.0", "127.0.0.1")  # noqa: S104 - the same
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx2.get(admin, headers=headers).status_code == 200
    subprocess.run(
        [sys.executable, "-m", "plughost", "admin", "token", "revoke", token.split("_")[1]],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    assert httpx2.get(admin, headers=headers).status_code == 401
    assert process.stop()[0] == 0


def test_a_port_that_is_taken_is_said_before_anything_starts(run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = run("--port", str(taken.getsockname()[1]))
        _, err = process.process.communicate(timeout=30)
    assert process.process.returncode == 1
    assert "cannot listen on 127.0.0.1" in err


def test_a_route_without_a_guard_keeps_the_server_from_starting(run, tmp_path):
    (tmp_path / "slow.py").write_text(
        SLOW.replace(", guard=PUBLIC", "").replace(
            "plughost.http import PUBLIC, Route", "starlette.routing import Route"
        )
    )
    with (tmp_path / "plughost.toml").open("a") as file:
        file.write('[plugins.slow]\nmodule = "slow:Slow"\n')
    process = run()
    _, err = process.process.communicate(timeout=30)
    assert process.process.returncode == 1
    assert "plugin 'slow': route /slow has no guard" in err
