"""`plughost run`, in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .plugin_sources import FAILING, GOOD, HANGING

LIMIT = 2.0

SHOWS_STOP = """
from plughost import Plugin

class P(Plugin):
    async def start(self, context):
        self.folder = context.data_dir

    async def stop(self):
        (self.folder / "stopped").touch()
"""

HANGING_ALOUD = """
import sys
import anyio
from plughost import Plugin

class P(Plugin):
    async def start(self, context):
        print("STARTING", file=sys.stderr, flush=True)
        await anyio.sleep_forever()
"""


def start(*arguments: str, site: Path, folder: Path, **environ: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "plughost", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(site), **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments: str, site: Path, folder: Path, **environ: str) -> tuple[int, Any, str]:
    process = start(*arguments, site=site, folder=folder, **environ)
    out, err = process.communicate(timeout=60)
    return process.returncode, json.loads(out), err


@pytest.fixture
def four(install, configure) -> Path:
    configure(f"[host]\nload_timeout = {LIMIT}\n[plugins.off]\nenabled = false\n")
    for name, source in {"good": GOOD, "bad": FAILING, "slow": HANGING, "off": GOOD}.items():
        site = install(name, source).folder
    return site


def test_a_good_a_failing_a_hanging_and_a_disabled_plugin_each_have_their_place(four, folder) -> None:
    names = "good,bad,slow,off"
    code, report, _ = run("run", "--once", "--json", site=four, folder=folder, PLUGHOST_LOAD_PLUGINS=names)
    assert code == 3
    assert report["loaded"] == ["good"]
    failed = {row["name"]: row for row in report["failed"]}
    assert set(failed) == {"bad", "slow"}
    assert failed["bad"]["phase"] == failed["slow"]["phase"] == "start"
    assert "no disk" in failed["bad"]["error"]["message"]
    assert (failed["slow"]["error"]["kind"], failed["slow"]["error"]["limit"]) == (
        "PluginTimeoutError",
        LIMIT,
    )
    assert "off" in [row["name"] for row in report["skipped"]]
    assert {row["name"]: row["state"] for row in report["plugins"]}["off"] == "disabled"
    assert report["duration"] >= LIMIT


def test_a_host_that_stays_stops_its_plugins_when_told_to(install, folder, tmp_path) -> None:
    site = install("tidy", SHOWS_STOP).folder
    process = start("run", "--json", site=site, folder=folder, PLUGHOST_LOAD_PLUGINS="tidy")
    report = read_document(process)
    assert report["loaded"] == ["tidy"]
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert (tmp_path / "data" / "plughost" / "plughost" / "tidy" / "stopped").exists()


def test_a_signal_during_the_start_ends_it_in_order(install, folder, tmp_path) -> None:
    site = install("tidy", SHOWS_STOP).folder
    install("waiting", HANGING_ALOUD)
    process = start("run", site=site, folder=folder, PLUGHOST_LOAD_PLUGINS="tidy,waiting")
    assert process.stderr is not None
    assert any("STARTING" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert (tmp_path / "data" / "plughost" / "plughost" / "tidy" / "stopped").exists()
    assert "Traceback" not in err


def test_a_host_without_its_required_plugin_does_not_stay(install, configure, folder) -> None:
    configure('[host]\nrequired = ["bad"]\n')
    site = install("bad", FAILING).folder
    code, report, _ = run("run", "--json", site=site, folder=folder, PLUGHOST_LOAD_PLUGINS="bad")
    assert code == 1
    assert report["ready"] is False


def test_standard_error_holds_json_lines_when_nobody_looks(install, folder) -> None:
    site = install("bad", FAILING).folder
    process = start("-vv", "run", "--once", site=site, folder=folder, PLUGHOST_LOAD_PLUGINS="bad")
    _, err = process.communicate(timeout=60)
    lines = [json.loads(line) for line in err.splitlines()]
    assert all({"level", "logger", "message", "timestamp"} <= set(line) for line in lines)


def read_document(process: subprocess.Popen[str]) -> Any:
    """Read standard output up to the end of the first document, while the process goes on."""
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if line.rstrip("\n") == "}":
            return json.loads(text)
    raise AssertionError(f"no document in {text!r}: {process.communicate()}")


WAITING = """
from plughost import Plugin

class P(Plugin):
    def status(self):
        return {"waiting_for": "the lamp is not plugged in"}
"""


def test_a_plugin_that_cannot_do_its_work_yet_is_not_reported_as_if_it_did(
    install, configure, folder
) -> None:
    site = install("waits", WAITING).folder
    configure('[host]\nallow = ["waits"]\n')
    code, document, _ = run("--json", "run", "--once", site=site, folder=folder)
    assert (code, document["waiting"]) == (3, ["waits"])
    process = start("run", "--once", site=site, folder=folder)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "waits: the lamp is not plugged in" in out
    assert out.endswith("; cannot do its work yet: waits\n")
