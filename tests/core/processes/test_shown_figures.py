"""What is told of a plugin's own process while its host runs: by the command, by the API and by the page."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from anyio.to_thread import run_sync

from faulty_plugin import SOURCE
from housed import configuration, housed, process_of, until, write_plugin
from plughost.cli.entry import run_program
from plughost.core.processes import housing
from plughost.http import create_app
from serving import Served

pytestmark = pytest.mark.anyio


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are read at once and not after five seconds."""
    monkeypatch.setattr(housing, "_LOOK_EVERY", 0.05)


async def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command writes, run beside the host."""
    capsys.readouterr()
    assert await run_sync(run_program, arguments) == 0
    return capsys.readouterr().out


async def test_commands_tell_what_the_process_uses_and_where_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_plugin(tmp_path, SOURCE)
    table = configuration(tmp_path)
    lines = [
        f"[host]\nplugin_dir = {table['host']['plugin_dir']!r}\ndata_dir = {table['host']['data_dir']!r}"
    ]
    (tmp_path / "plughost.toml").write_text(
        "\n".join(
            [
                *lines,
                "allow = ['faulty']",
                "hookspecs = ['faulty_hooks']",
                "[plugins.faulty]",
                "isolation = 'process'",
            ]
        )
    )
    monkeypatch.chdir(tmp_path)
    async with housed(table) as host:
        pid = process_of(host).pid
        (process,) = json.loads(await command(capsys, "info", "faulty", "--json"))["processes"]
        assert (process["host"], process["pid"], process["threads"]) == (os.getpid(), pid, 1)
        assert 5_000_000 < process["memory"] < 300_000_000
        assert process["files"] > 4
        assert process["cpu_seconds"] >= 0
        assert f"process       {pid} of host {os.getpid()}: " in await command(capsys, "info", "faulty")
        told = await command(capsys, "info", "faulty")
        assert "Traceback" not in told
        assert "problem" not in told
        (stack,) = json.loads(await command(capsys, "stack", "faulty", "--json"))["processes"]
        assert (stack["pid"], "plughost/core/guest/life.py" in stack["stack"]) == (pid, True)
        assert f"process {pid}\n" in await command(capsys, "stack", "faulty")
        await host.disable_plugin("faulty")
        assert await run_sync(run_program, ("stack", "faulty")) == 1
        said = capsys.readouterr().err
        assert "'faulty' has no process of its own there: `plughost info faulty` tells more" in said
    assert json.loads(await command(capsys, "info", "faulty", "--json"))["processes"] == []


async def test_the_api_and_the_page_tell_what_it_uses_and_how_the_one_before_ended(
    tmp_path: Path, soon: None
) -> None:
    write_plugin(tmp_path, "print('on the way', 'password=hunter22', flush=True)\n" + SOURCE)
    table = configuration(tmp_path, confine={})
    table["host"]["allow"].append("admin")
    async with housed(table) as host:
        app = create_app(host)
        await host.hooks.misbehave.report(how="segfault")
        await until(lambda: process_of(host).restarts == 1 and process_of(host).cpu_share is not None)
        served = Served(host, app)
        async with served.client(token=served.token("plugins:read")) as client:
            told: dict[str, Any] = (await client.get("/admin/api/plugins/faulty")).json()
            page = (await client.get("/admin/system/plugins/faulty", headers={"Accept": "text/html"})).text
        app.close()
        process = told["process"]
        now = process_of(host)
        assert (process["pid"], process["threads"], process["restarts"]) == (now.pid, 1, 1)
        assert process["memory"] > 5_000_000
        assert process["received"] > 0
        assert process["confinement"] == [*now.confinement]
        assert process["last_exit"]["signal"] == "SIGSEGV"
        shown = page[page.index('id="process"') :]
        shown = shown[: shown.index("</section>")]
        for part in (f"{now.pid}", "MiB", "1 time", now.confinement[0], "SIGSEGV ended it, during misbehave"):
            assert part in shown
        assert "Where it stood" in shown
        assert "on the way" in shown
        assert "hunter22" not in page + json.dumps(told)


async def test_the_page_of_a_plugin_inside_tells_of_no_process(tmp_path: Path) -> None:
    table = configuration(tmp_path)
    table["host"]["allow"] = ["admin"]
    table["plugins"] = {}
    async with housed(table) as host:
        app = create_app(host)
        served = Served(host, app)
        async with served.client(token=served.token("plugins:read")) as client:
            page = (await client.get("/admin/system/plugins/admin", headers={"Accept": "text/html"})).text
        app.close()
        assert "Comes from" in page
        assert 'id="process"' not in page
