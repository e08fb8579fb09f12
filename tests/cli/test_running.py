"""Commands beside a host that runs in another process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from plughost.blocking import BlockingHost
from plughost.core.running import running_hosts

CONFIG = """
[host]
allow = ["lamp", "admin"]
data_dir = "data"
[plugins.lamp]
module = "lamp:Lamp"
[apps.shop]
url = "sqlite:///shop.db"
"""
LAMP = "from plughost import Plugin\nclass Lamp(Plugin):\n    pass\n"
HELD = """
from pathlib import Path
import anyio
from plughost import Plugin

class Lamp(Plugin):
    async def start(self, context):
        number = len(list(Path().glob("start-*")))
        Path(f"start-{number}").touch()
        await self.wait(f"starting-{number}")

    async def stop(self):
        await self.wait("stopping")

    async def wait(self, what):
        while Path(f"hold-{what}").exists():
            Path(what).touch()
            await anyio.sleep(0.01)
"""


def environ(folder: Path) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("PLUGHOST_")} | {
        "PYTHONPATH": str(folder)
    }


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "plughost", *arguments],
        cwd=folder, env=environ(folder), capture_output=True, text=True, timeout=100,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "plughost.toml").write_text(CONFIG)
    (tmp_path / "lamp.py").write_text(LAMP)
    return tmp_path


class Begun:
    """A host that was begun in another process, and what it writes."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "plughost", *arguments],
            cwd=folder, env=environ(folder),
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def up(self) -> str:
        """Wait until it says that it runs, and return where it listens, if it does."""
        assert self.process.stdout is not None
        said = next(line for line in self.process.stdout if "listening on" in line or line == "}\n")
        return said.split()[-1]

    def wait_until_held(self, what: str) -> None:
        deadline = time.monotonic() + 60
        while not (self.folder / what).exists():
            assert self.process.poll() is None, "it ended"
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def let_go(self, what: str) -> None:
        (self.folder / f"hold-{what}").unlink()

    def end(self) -> int:
        for held in self.folder.glob("hold-*"):
            held.unlink()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=60)
        return self.process.returncode


@pytest.fixture
def begin(folder: Path) -> Iterator[Callable[..., Begun]]:
    """``begun = begin(*arguments)``: ``plughost`` in another process."""
    begun: list[Begun] = []

    def one(*arguments: str) -> Begun:
        begun.append(Begun(folder, *arguments))
        return begun[-1]

    yield one
    for each in begun:
        each.end()


@pytest.fixture
def running(begin: Callable[..., Begun]) -> subprocess.Popen[str]:
    host = begin("run", "--json")
    host.up()
    return host.process


SERVE = ("serve", "--port", "0", "--drain-notice", "0", "--no-link")


@pytest.fixture
def serving(begin: Callable[..., Begun]) -> Callable[..., str]:
    """``address = serving(*options)``: a running ``plughost serve``."""
    return lambda *options: begin(*SERVE, *options).up()


@pytest.fixture
def held(folder: Path) -> Path:
    """The folder, with a plugin that can be held."""
    (folder / "lamp.py").write_text(HELD)
    return folder


def test_nothing_is_restored_over_the_data_of_a_running_host(folder, running):
    refused = command(folder, "backup", "restore", "some-archive", "--yes")
    assert refused.returncode == 1
    assert "stop it first" in refused.stderr
    assert str(running.pid) in refused.stderr


def test_a_killed_host_is_in_nobodys_way(folder, running):
    running.kill()
    running.wait(30)
    tried = command(folder, "backup", "restore", "some-archive", "--yes")
    assert "stop it first" not in tried.stderr


def test_switching_a_plugin_says_that_the_running_host_goes_on_as_it_was(folder, running):
    switched = command(folder, "disable", "lamp", "--json")
    assert json.loads(switched.stdout)["changed"]
    assert f"process {running.pid}" in switched.stderr
    assert "goes on as it was" in switched.stderr


def test_a_host_that_was_left_behind_is_named_again(folder, running):
    command(folder, "disable", "lamp")
    again = command(folder, "disable", "lamp")
    assert "already disabled" in again.stdout
    assert "from the next start on" in again.stdout
    assert f"process {running.pid}" in again.stderr


def test_a_switch_says_from_when_on_it_holds(folder):
    assert "is now disabled in plughost.toml, which holds from the next start on." in command(
        folder, "disable", "lamp"
    ).stdout.replace(f"{folder}/", "")
    assert "next start" in command(folder, "enable", "lamp").stdout
    assert "next start" not in command(folder, "enable", "lamp").stdout  # no host waits for it
    assert "unless --now is given" in " ".join(command(folder, "disable", "--help").stdout.split())


def test_without_a_running_host_switching_says_nothing_of_one(folder):
    assert "process" not in command(folder, "disable", "lamp").stderr


@pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["one process", "two workers"])
def test_a_running_server_follows_at_once_when_asked_and_answers(folder, serving, workers):
    serving(*workers)
    switched = command(folder, "disable", "lamp", "--now")
    assert switched.returncode == 0
    assert "Stopped: lamp." in switched.stderr
    assert "Started: lamp." in command(folder, "enable", "lamp", "--now").stderr


def test_a_running_host_without_http_follows_at_once_when_asked(folder, running):
    assert "Stopped: lamp." in command(folder, "disable", "lamp", "--now").stderr
    (folder / "plughost.toml").write_text(CONFIG + "[nonsense]\n")
    assert command(folder, "disable", "lamp", "--now").returncode == 1


def test_a_host_inside_another_program_is_not_sent_a_signal_that_would_end_it(folder):
    with BlockingHost(config=folder / "plughost.toml", environ={}):
        refused = command(folder, "disable", "lamp", "--now")
    assert refused.returncode == 1
    assert "is part of another program" in refused.stderr


def test_what_a_host_inside_another_program_cannot_follow_is_not_advised(folder):
    config = folder / "plughost.toml"
    with BlockingHost(config=config, environ={}), BlockingHost(config=config, environ={}):
        told = command(folder, "disable", "lamp").stderr
    assert told.count("goes on as it was") == 1  # both are in one process
    assert "--now" not in told


@pytest.mark.parametrize(
    ("options", "begins"),
    [
        ((), "http://127.0.0.1:"),
        (("--public-url", "https://acme.example"), "https://acme.example/admin/sign-in?code="),
        (("--root-path", "/shop"), "http://127.0.0.1:"),
        (("--workers", "2"), "http://127.0.0.1:"),
    ],
    ids=["as it listens", "its public address", "behind a prefix", "workers"],
)
def test_a_link_is_given_out_for_a_running_server_and_works_once(folder, serving, options, begins):
    address = serving(*options)
    told = json.loads(command(folder, "admin", "link", "--json").stdout)["sign_in"]
    assert told.startswith(begins)
    assert ("/shop/admin" in told) == ("--root-path" in options)
    page = f"{address}/admin/sign-in?code={told.partition('code=')[2]}"
    assert httpx2.get(page).status_code == 303
    assert httpx2.get(page).status_code == 401


def test_there_is_no_link_to_a_host_that_does_not_run(folder):
    refused = command(folder, "admin", "link")
    assert refused.returncode == 1
    assert "start it with `plughost serve`" in refused.stderr


def test_a_host_that_does_not_know_its_address_is_given_one(folder, running):
    assert "give --url" in command(folder, "admin", "link").stderr
    told = command(folder, "admin", "link", "--url", "https://acme.example/").stdout
    assert told.startswith("https://acme.example/admin/sign-in?code=")


def test_while_a_worker_starts_those_that_serve_can_be_asked(held, begin):
    (held / "hold-starting-1").touch()
    server = begin(*SERVE, "--workers", "2")
    address = server.up()
    server.wait_until_held("starting-1")
    told = json.loads(command(held, "admin", "link", "--json").stdout)["sign_in"]
    assert told.startswith(address)
    asked = subprocess.Popen(
        [sys.executable, "-m", "plughost", "disable", "lamp", "--now"],
        cwd=held, env=environ(held), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with asked:
        while "enabled = false" not in (held / "plughost.toml").read_text():
            time.sleep(0.02)
        server.let_go("starting-1")
        assert asked.stderr is not None
        assert "Stopped: lamp." in asked.stderr.read()
    assert [host.answer.count("Stopped: lamp.") for host in running_hosts(held / "data")] == [1, 1]


@pytest.mark.parametrize("arguments", [SERVE, ("run", "--json")], ids=["serve", "run"])
def test_a_hangup_ends_no_host_that_starts_and_is_followed_once_it_runs(held, begin, arguments):
    (held / "hold-starting-0").touch()
    host = begin(*arguments)
    host.wait_until_held("starting-0")
    (held / "plughost.toml").write_text(CONFIG.replace("[plugins.lamp]", "[plugins.lamp]\nenabled = false"))
    host.process.send_signal(signal.SIGHUP)
    host.let_go("starting-0")
    host.up()
    deadline = time.monotonic() + 60
    while "Stopped: lamp." not in running_hosts(held / "data")[0].answer:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert host.end() == 0


@pytest.mark.parametrize("arguments", [SERVE, ("run", "--json")], ids=["serve", "run"])
def test_a_hangup_does_not_break_off_a_stop(held, begin, arguments):
    (held / "hold-stopping").touch()
    host = begin(*arguments)
    host.up()
    host.process.send_signal(signal.SIGTERM)
    host.wait_until_held("stopping")
    host.process.send_signal(signal.SIGHUP)
    host.let_go("stopping")
    host.process.communicate(timeout=60)
    assert host.process.returncode == 0
