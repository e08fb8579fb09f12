"""``plughost cache``, as it is typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from click.testing import CliRunner
from redis import Redis

from plughost.cli.program import Program
from plughost.plugins.cache import commands
from plughost.plugins.cache.commands import cache_group
from servers import Server

from .conftest import shared


@pytest.fixture
def folder(tmp_path: Path, redis_url: str) -> Path:
    text = f'[plugins.cache.config]\nredis_url = "{redis_url}"\nop_timeout = 5.0\ndebug = true\n'
    text += "[plugins.cache.config.caches.tmdb]\nttl = 60\n"
    (tmp_path / "plughost.toml").write_text(text)

    async def fill() -> None:
        async with shared(redis_url) as caches:
            for name in ("tmdb", "default"):
                await caches.get(name).set("user:1", "value", tags=["users"])
                await caches.get(name).set("other", "value")

    anyio.run(fill)
    return tmp_path


def plughost(folder: Path, *words: str) -> Any:
    program = Program(environ={})
    program.config_path = folder / "plughost.toml"
    return CliRunner().invoke(cache_group, list(words), obj=program)


def answer(folder: Path, *words: str) -> Any:
    run = plughost(folder, *words, "--json")
    assert run.exit_code == 0, run.output
    return json.loads(run.stdout)


def test_the_group_is_found_by_the_program(folder: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PLUGHOST_")}
    command = [sys.executable, "-m", "plughost", "cache", "status", "--json"]
    run = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(run.stdout)["available"]


@pytest.mark.parametrize("words", [("clear", "--yes"), ("invalidate", "tmdb", "--key", "k")])
def test_a_change_that_no_running_host_hears_of_says_so(folder: Path, words: tuple[str, ...]) -> None:
    assert "was not told" not in plughost(folder, *words).stderr
    (folder / "plughost.toml").write_text("[plugins.cache.config]\ncaches.tmdb = {}\n")
    run = plughost(folder, *words)
    assert run.exit_code == 0, run.output
    assert "a host that runs was not told" in run.stderr


CHANGES = [
    ("invalidate", "tmdb", "--key", "user:1"),
    ("invalidate", "tmdb", "--tag", "users"),
    ("invalidate", "tmdb", "--glob", "user:*"),
    ("invalidate", "tmdb", "--regex", "user:.*"),
    ("clear", "tmdb", "--yes"),
    ("clear", "--yes"),
]


@pytest.mark.parametrize("words", [*CHANGES, ("cleanup",)])
def test_a_change_that_an_absent_server_never_heard_of_is_not_said_to_be_made(
    folder: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "_PATIENCE", 0.1)
    section = '[plugins.cache.config]\nredis_url = "redis://127.0.0.1:1/0"\ncaches.tmdb = {}\n'
    (folder / "plughost.toml").write_text(section)
    run = plughost(folder, *words)
    assert run.exit_code == 1, run.output
    assert "redis://127.0.0.1:1/0 is away" in run.stderr
    assert run.stdout == ""


@pytest.mark.parametrize("words", CHANGES)
def test_a_change_waits_for_a_server_that_is_late(
    folder: Path, redis_url: str, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "_PATIENCE", 60.0)
    settings = folder / "plughost.toml"
    settings.write_text(settings.read_text().replace("op_timeout = 5.0", "op_timeout = 0.1"))
    with Redis.from_url(redis_url) as client:
        client.client_pause(1500, all=True)
    assert plughost(folder, *words).exit_code == 0
    settings.write_text(settings.read_text().replace("op_timeout = 0.1", "op_timeout = 5.0"))
    assert plughost(folder, "get", "tmdb", "user:1").exit_code == 1


def test_what_is_shared_is_seen_and_invalidated_from_outside(folder: Path) -> None:
    assert answer(folder, "status")["available"]
    assert sorted(answer(folder, "keys", "tmdb")["keys"]) == ["other", "user:1"]
    assert answer(folder, "get", "tmdb", "user:1")["value"] == "'value'"
    answer(folder, "invalidate", "tmdb", "--tag", "users")
    assert answer(folder, "keys", "tmdb")["keys"] == ["other"]
    assert sorted(answer(folder, "clear", "--yes")["cleared"]) == ["default", "tmdb"]
    assert answer(folder, "keys", "default")["keys"] == []
    assert set(answer(folder, "stats")["caches"]) >= {"default", "tmdb"}


def test_wrong_usage_and_an_absent_server_have_their_exit_codes(folder: Path, redis_server: Server) -> None:
    assert plughost(folder, "invalidate", "tmdb").exit_code == 2
    assert plughost(folder, "invalidate", "tmdb", "--regex", "(").exit_code == 2
    assert plughost(folder, "get", "tmdb", "nothing").exit_code == 1
    (folder / "plughost.toml").write_text('[plugins.cache.config]\nredis_url = "redis://127.0.0.1:1/0"\n')
    away = plughost(folder, "status", "--json")
    assert away.exit_code == 3, away.output
    assert not json.loads(away.stdout)["available"]
    assert plughost(folder, "keys").exit_code == 1  # listing is for development


@pytest.mark.parametrize(
    "words",
    [
        ("keys", "tmbd"),
        ("get", "tmbd", "k"),
        ("clear", "tmbd", "--yes"),
        ("invalidate", "tmbd", "--key", "k"),
    ],
)
@pytest.mark.parametrize("settings", ["shared", "memory"])
def test_a_misspelt_cache_is_not_answered_as_if_it_were_there(
    folder: Path, words: tuple[str, ...], settings: str
) -> None:
    if settings == "memory":
        (folder / "plughost.toml").write_text("[plugins.cache.config]\ndebug = true\ncaches.tmdb = {}\n")
    run = plughost(folder, *words)
    assert run.exit_code == 2, run.output
    assert "there is no cache 'tmbd'" in run.output
    assert "Did you mean 'tmdb'?" in run.output


def test_a_cache_that_only_a_running_host_made_is_found_by_what_it_shares(
    folder: Path, redis_url: str
) -> None:
    async def fill() -> None:
        async with shared(redis_url) as caches:
            await caches.get("made-while-serving").set("k", "value")

    anyio.run(fill)
    assert answer(folder, "keys", "made-while-serving")["keys"] == ["k"]
    answer(folder, "clear", "made-while-serving", "--yes")
    assert plughost(folder, "keys", "made-while-serving").exit_code == 2
