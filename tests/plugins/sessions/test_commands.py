"""``plughost sessions``: beside a running server, and alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from plughost import Host
from plughost.contracts import SessionManager

pytestmark = pytest.mark.anyio

CONFIG = """
[host]
name = "acme"
data_dir = {data!r}
[plugins.sessions]
module = "plughost.plugins.sessions:SessionsPlugin"
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "plughost.toml"
    path.write_text(CONFIG.format(data=str(tmp_path / "data")))
    return path


def plughost(config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"PLUGHOST_CONFIG": str(config), "PLUGHOST_LOAD_PLUGINS": "sessions"}
    command = [sys.executable, "-m", "plughost", "sessions", *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environ, cwd=config.parent
    )


async def test_looking_works_beside_a_server_and_changing_names_it(config: Path) -> None:
    async with Host("acme", config=config, environ={"PLUGHOST_LOAD_PLUGINS": "sessions"}) as host:
        sessions = host.use(SessionManager)
        made = await sessions.create("7", username="ada", metadata={"device": "Firefox on Linux"})
        stats = plughost(config, "stats", "--json")
        assert json.loads(stats.stdout)["active"] == 1, stats.stderr
        listed = plughost(config, "list", "7")
        assert made.handle in listed.stdout, listed.stderr
        assert "Firefox on Linux" in listed.stdout
        assert made.session_id not in listed.stdout
        refused = plughost(config, "end", "7")
        assert refused.returncode == 1
        assert f"process {os.getpid()} owns" in refused.stderr
        assert await sessions.get(made.session_id) is not None
    ended = plughost(config, "end", "7")
    assert (ended.returncode, ended.stdout.strip()) == (0, "1 ended"), ended.stderr
    for words in (("cleanup",), ("rotate-keys",), ("stats",)):
        done = plughost(config, *words)
        assert done.returncode == 0, done.stderr
