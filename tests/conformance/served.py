"""datasette served by its own command in an environment of its own, with wheels of plugins that would end it.

Its maintainers would move it by the lines of ``LINES``: the host stands where the plugin manager was made, and starts
when a command is carried out: a plugin that hangs while datasette itself is being imported would keep it waiting.
"""

from __future__ import annotations

import json
import os
import shutil
import site
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import datasette
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from misbehaved import MISDEEDS
from wheelhouse import make_wheel

MADE = """pm = pluggy.PluginManager("datasette")
pm.add_hookspecs(hookspecs)

if not hasattr(sys, "_called_from_test"):
    # Only load plugins if not running tests
    pm.load_setuptools_entrypoints("datasette")
"""
HOSTED = """from plughost.blocking import BlockingHost

host = BlockingHost.for_pluggy("datasette", hookspecs)
pm = host.pluggy
pm.hook = host.sync_hooks
"""
SERVE = """    \"""Serve up specified SQLite database files with a web UI\"""
"""
STARTS = """    from . import plugins

    plugins.host.start()
    for failed in plugins.host.report.failed:
        click.echo(f"plugin {failed.name} is broken: {failed.error.message}", err=True)
"""
LINES = {"plugins.py": (MADE, HOSTED), "cli.py": (SERVE, SERVE + STARTS)}
"""What changes in datasette: file -> what stood there, and what does then."""

SAID = {
    "raising": "OSError: no such disk",
    "hanging": "longer than its limit",
    "leaving": "called sys.exit(3)",
}
PATIENCE = 120


@pytest.fixture
def environment(tmp_path):
    """A fresh virtual environment that has what this one has."""
    folder = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    outer = site.getsitepackages()[0]
    (packages / "outer.pth").write_text(f"import site; site.addsitedir({outer!r})\n", "utf-8")
    return packages


def install(packages, folder, *misdeeds):
    wheels = [
        make_wheel(
            folder,
            f"datasette-{name}",
            "1.0",
            {f"datasette_{name}.py": f"{MISDEEDS[name]}\n"},
            plugins={name: f"datasette_{name}"},
            group="datasette",
        )
        for name in misdeeds
    ]
    pip = [sys.executable, "-m", "pip", "--python", packages.parents[2], "install", "--quiet", "--no-index"]
    subprocess.run([*pip, "--no-deps", *wheels], check=True)


def move(packages):
    moved = packages / "datasette"
    shutil.copytree(Path(datasette.__file__).parent, moved)
    for name, (before, after) in LINES.items():
        text = (moved / name).read_text("utf-8")
        assert text.count(before) == 1
        (moved / name).write_text(text.replace(before, after), "utf-8")


@contextmanager
def served(packages, folder):
    """Start ``datasette serve``; gives its process and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        packages.parents[2] / "bin" / "python",
        "-m",
        "datasette",
        "serve",
        "--memory",
        "-p",
        str(port),
    ]
    environ = os.environ | {
        "PLUGHOST_HOST__LOAD_TIMEOUT": "3",
        "PLUGHOST_HOST__DATA_DIR": str(folder / "data"),
    }
    with (folder / "said").open("w") as said:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=said, stderr=said)
        try:
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def asked(process, url, seconds):
    """Ask until there is an answer; None when the process ends before, or the time is over."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own server
                return json.load(answer)
        except OSError:
            time.sleep(0.2)
    return None


def test_it_starts_and_serves_and_names_them(environment, tmp_path):
    install(environment, tmp_path, *MISDEEDS)
    move(environment)
    with served(environment, tmp_path) as (process, url):
        answer = asked(process, f"{url}/_memory.json?sql=select+41%2B1&_shape=array", PATIENCE)
        assert answer == [{"41+1": 42}], (tmp_path / "said").read_text("utf-8")
        others = asked(process, f"{url}/-/plugins.json", PATIENCE)
        assert not {one["name"] for one in others} & {f"datasette_{name}" for name in MISDEEDS}
    said = (tmp_path / "said").read_text("utf-8").splitlines()
    for name, reason in SAID.items():
        assert any(f"plugin {name} is broken" in line and reason in line for line in said), said


@pytest.mark.parametrize("misdeed", MISDEEDS)
def test_on_its_own_manager_it_does_not(environment, tmp_path, misdeed):
    install(environment, tmp_path, misdeed)
    with served(environment, tmp_path) as (process, url):
        assert asked(process, f"{url}/-/plugins.json", 20 if misdeed == "hanging" else PATIENCE) is None
        assert (process.poll() is None) is (misdeed == "hanging")
