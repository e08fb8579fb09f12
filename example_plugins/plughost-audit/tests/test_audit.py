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


KEYS = pytest.mark.parametrize("key", [b"", b"secret"], ids=["no key", "a key"])


def written(path: Path, count: int, key: bytes = b"") -> Path:
    chain = Chain(path, key)
    for number in range(count):
        chain.append("app_registered", float(number), {"app": f"app{number}"})
    chain.close()
    return path


@KEYS
@pytest.mark.parametrize("count", [2, 5, 7])
def test_a_chain_that_was_written_anew_does_not_fit_its_head(tmp_path: Path, key: bytes, count: int) -> None:
    file = written(tmp_path / "record", 5, key)
    other = written(tmp_path / "other", 0, key)
    chain = Chain(other, key)
    for _ in range(count):
        chain.append("app_registered", 0.0, {"app": "nothing happened"})
    chain.close()
    file.write_bytes(other.read_bytes())
    assert verify(file, key)[0] is not None


@KEYS
@pytest.mark.parametrize(
    "head", [None, "", "nonsense", "5", "99999999999999999999 " + "0" * 64, "-1 " + "0" * 64]
)
def test_a_head_that_is_gone_or_no_head_is_noticed(tmp_path: Path, key: bytes, head: str | None) -> None:
    file = written(tmp_path / "record", 5, key)
    beside = tmp_path / "record.head"
    beside.unlink() if head is None else beside.write_text(head)
    broken, _ = verify(file, key)
    assert broken is not None
    assert "head" in broken.problem
    with pytest.raises(ValueError, match="head"):
        Chain(file, key)


@pytest.mark.parametrize("kept", [0, 1, 4])
def test_with_a_key_an_end_that_is_cut_off_is_noticed_whatever_head_is_put_there(
    tmp_path: Path, kept: int
) -> None:
    file = written(tmp_path / "record", 5, b"secret")
    lines = file.read_bytes().splitlines(keepends=True)[:kept]
    file.write_bytes(b"".join(lines))
    digest = json.loads(lines[-1])["digest"] if lines else "0" * 64
    seal = (tmp_path / "record.head").read_text().split()[2]
    for made in (f"{kept} {digest}", f"{kept} {digest} {seal}", f"{kept} {digest} {'0' * 64}"):
        (tmp_path / "record.head").write_text(made)
        assert verify(file, b"secret")[0] is not None


@KEYS
def test_a_head_left_behind_by_a_crash_breaks_nothing(tmp_path: Path, key: bytes) -> None:
    file = written(tmp_path / "record", 5, key)
    old = (tmp_path / "record.head").read_bytes()
    written(file, 2, key)
    (tmp_path / "record.head").write_bytes(old)
    assert verify(file, key)[0] is None
    assert written(file, 1, key)
    assert verify(file, key)[0] is None


def test_the_command_compares_with_a_head_kept_elsewhere_and_seals_an_old_one(tmp_path: Path) -> None:
    (tmp_path / "plughost.toml").write_text('[host]\ndata_dir = "data"\nallow = ["audit"]\n')
    file = written(tmp_path / "record", 5)
    then = file.read_bytes(), (tmp_path / "record.head").read_bytes()
    written(file, 2)
    (tmp_path / "copy").write_bytes((tmp_path / "record.head").read_bytes())
    file.write_bytes(then[0])
    (tmp_path / "record.head").write_bytes(then[1])
    assert plughost(tmp_path, "audit", "verify", "record").returncode == 0, "an old state, head and all"
    compared = plughost(tmp_path, "audit", "verify", "record", "--head", "copy")
    assert compared.returncode == 3
    assert "records missing at the end: 2" in compared.stdout
    (tmp_path / "record.head").write_text("nonsense")
    assert plughost(tmp_path, "audit", "verify", "record").returncode == 3
    assert plughost(tmp_path, "audit", "seal", "record").returncode == 0
    assert plughost(tmp_path, "audit", "verify", "record").returncode == 0


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
