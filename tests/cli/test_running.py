"""Commands beside a host that runs in another process."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from plughost.blocking import BlockingHost

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


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PLUGHOST_")}
    return subprocess.run(
        [sys.executable, "-m", "plughost", *arguments],
        cwd=folder, env={**environ, "PYTHONPATH": str(folder)}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "plughost.toml").write_text(CONFIG)
    (tmp_path / "lamp.py").write_text(LAMP)
    return tmp_path


@pytest.fixture
def running(folder: Path) -> Iterator[subprocess.Popen[str]]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PLUGHOST_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "plughost", "run", "--json"],
        cwd=folder, env={**environ, "PYTHONPATH": str(folder)},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    next(line for line in process.stdout if line.startswith("}"))
    yield process
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)


@pytest.fixture
def serving(folder: Path) -> Iterator[Callable[..., str]]:
    """``address = serving(*options)``: a running ``plughost serve``."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PLUGHOST_")}
    started: list[subprocess.Popen[str]] = []

    def begin(*options: str) -> str:
        process = subprocess.Popen(
            [sys.executable, "-m", "plughost", "serve", "--port", "0", "--drain-notice", "0", *options],
            cwd=folder, env={**environ, "PYTHONPATH": str(folder)},
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        started.append(process)
        assert process.stdout is not None
        return next(found[1] for line in process.stdout if (found := re.search(r"listening on (\S+)", line)))

    yield begin
    for process in started:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=40)


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
    address = serving("--no-link", *options)
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
