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


async def test_looking_and_changing_work_beside_a_server(config: Path) -> None:
    async with Host("acme", config=config, environ={"PLUGHOST_LOAD_PLUGINS": "sessions"}) as host:
        sessions = host.use(SessionManager)
        made = await sessions.create("7", username="ada", metadata={"device": "Firefox on Linux"})
        other = await sessions.create("8")
        stats = plughost(config, "stats", "--json")
        assert json.loads(stats.stdout)["active"] == 2, stats.stderr
        listed = plughost(config, "list", "7")
        assert made.handle in listed.stdout, listed.stderr
        assert "Firefox on Linux" in listed.stdout
        assert made.session_id not in listed.stdout
        newest = (await sessions.create("7")).handle
        newer = plughost(config, "list", "7", "--limit", "1")
        assert (newest in newer.stdout, made.handle in newer.stdout) == (True, False), newer.stderr
        assert "give --limit for more" in newer.stderr
        await sessions.end_handle("7", newest)
        ended = plughost(config, "end", "7")
        assert (ended.returncode, ended.stdout.strip()) == (0, "1 ended"), ended.stderr
        assert await sessions.get(made.session_id) is None
        assert await sessions.get(other.session_id) is not None
        assert (await sessions.stats()).active == 1
    for words in (("cleanup",), ("rotate-keys",), ("stats",)):
        done = plughost(config, *words)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("word", ["list", "end"])
def test_a_user_id_that_cannot_be_one_is_refused_in_a_sentence(config: Path, word: str) -> None:
    done = plughost(config, word, "a\udcff")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: the user id 'a\\udcff' has half of a sign in it"), done.stderr


async def test_a_command_says_why_the_store_is_not_there(config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "sessions"
    folder.mkdir(parents=True)
    (folder / "sessions.db").write_bytes(b"precious notes, not a database" * 100)
    refused = plughost(config, "stats")
    assert refused.returncode == 1
    assert "is kept as it is" in refused.stderr
    assert "Traceback" not in refused.stderr
