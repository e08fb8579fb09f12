"""The chain by itself, and the plugin in a real host."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plughost import Host
from plughost.contracts import AuthAttempt
from plughost_audit import Chain, verify

Lines = list[bytes]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    chain = Chain(tmp_path / "audit.jsonl")
    for number in range(5):
        chain.append("app_registered", float(number), {"app": f"app{number}"})
    chain.close()
    return tmp_path / "audit.jsonl"


def test_a_chain_that_nobody_touched_is_whole(file: Path) -> None:
    broken, last = verify(file)
    assert broken is None
    assert last is not None
    assert last.number == 5


def change_one(lines: Lines) -> Lines:
    return [*lines[:2], lines[2].replace(b"app2", b"app9"), *lines[3:]]


def remove_one(lines: Lines) -> Lines:
    return [*lines[:2], *lines[3:]]


def remove_the_first(lines: Lines) -> Lines:
    return lines[1:]


def swap_two(lines: Lines) -> Lines:
    return [*lines[:2], lines[3], lines[2], lines[4]]


def double_one(lines: Lines) -> Lines:
    return [*lines[:3], lines[2], *lines[3:]]


def cut_off_the_end(lines: Lines) -> Lines:
    return lines[:3]


def write_nonsense(lines: Lines) -> Lines:
    return [*lines, b"nonsense\n"]


@pytest.mark.parametrize(
    "edit", [change_one, remove_one, remove_the_first, swap_two, double_one, cut_off_the_end, write_nonsense]
)
def test_whatever_is_done_to_it_is_noticed(file: Path, edit: Callable[[Lines], Lines]) -> None:
    file.write_bytes(b"".join(edit(file.read_bytes().splitlines(keepends=True))))
    broken, _ = verify(file)
    assert broken is not None
    with pytest.raises(ValueError, match="line"):
        Chain(file)


def test_a_chain_goes_on_after_a_restart(file: Path) -> None:
    chain = Chain(file)
    assert chain.append("app_registered", 9.0, {}).number == 6
    chain.close()
    assert verify(file)[0] is None


def test_with_a_key_nobody_else_can_compute_the_digests(tmp_path: Path) -> None:
    chain = Chain(tmp_path / "x", key=b"secret")
    chain.append("app_registered", 0.0, {"app": "shop"})
    chain.close()
    assert verify(tmp_path / "x", b"secret")[0] is None
    assert verify(tmp_path / "x")[0] is not None


def config(folder: Path) -> dict[str, Any]:
    return {"host": {"data_dir": str(folder / "data"), "allow": ["audit"]}}


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_host_leaves_a_record_without_secrets(tmp_path: Path) -> None:
    async with Host(config=config(tmp_path), environ={}) as host:
        await host.auth.authenticate(AuthAttempt(username="ann", credentials={"password": "sesame"}))
        await host.apps.register("shop", {"token": "sesame"})
        await host.apps.unregister("shop")
    text = (tmp_path / "data" / "audit" / "audit.jsonl").read_text()
    kinds = [json.loads(line)["kind"] for line in text.splitlines()]
    assert [kind for kind in kinds if not kind.startswith("plugin")] == [
        "auth_failed",
        "app_registered",
        "app_unregistered",
    ]
    assert "sesame" not in text
    assert verify(tmp_path / "data" / "audit" / "audit.jsonl")[0] is None


def plughost(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "plughost", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_command_says_whether_the_record_is_whole(tmp_path: Path) -> None:
    (tmp_path / "plughost.toml").write_text('[host]\ndata_dir = "data"\nallow = ["audit"]\n[apps.shop]\n')
    assert plughost(tmp_path, "run", "--once").returncode == 0
    whole = plughost(tmp_path, "audit", "verify", "--json")
    assert whole.returncode == 0, whole.stderr
    assert json.loads(whole.stdout)["ok"] is True
    file = tmp_path / "data" / "audit" / "audit.jsonl"
    file.write_text(file.read_text().replace("shop", "blog"))
    broken = plughost(tmp_path, "audit", "verify")
    assert broken.returncode == 3
    assert "it was changed" in broken.stdout
