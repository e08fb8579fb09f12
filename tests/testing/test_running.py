"""A host that one task starts and another stops, as fixtures of pytest-asyncio do."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Self

import pytest

from plughost import Host
from plughost.testing import running

SUITE = """
import pytest, pytest_asyncio
from plughost import Host
from plughost.testing import running

@pytest_asyncio.fixture{scope}
async def host(tmp_path_factory):
    config = {{"host": {{"data_dir": str(tmp_path_factory.mktemp("data")), "allow": []}}}}
    async with running(Host("shop", config=config, environ={{}})) as host:
        yield host

@pytest.mark.asyncio{loop}
async def test_one(host):
    assert host.plugin('nothing') is None

@pytest.mark.asyncio{loop}
async def test_two(host):
    assert (await host.health()).status == "pass"
"""


@pytest.mark.parametrize(
    ("scope", "loop"), [("", ""), ('(scope="module", loop_scope="module")', '(loop_scope="module")')]
)
def test_it_serves_fixtures_of_pytest_asyncio(tmp_path: Path, scope: str, loop: str) -> None:
    (tmp_path / "test_it.py").write_text(SUITE.format(scope=scope, loop=loop))
    command = [
        sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider",
        "-o", "asyncio_default_fixture_loop_scope=function", "test_it.py",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    assert "error" not in done.stdout


class Broken(Host):
    async def __aenter__(self) -> Self:
        raise OSError("the disk is gone")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_a_start_that_fails_is_told_to_who_waits(tmp_path: Path, anyio_backend: str) -> None:
    before = asyncio.all_tasks()
    with pytest.raises(OSError, match="disk is gone"):
        async with running(Broken("shop", config={"host": {"data_dir": str(tmp_path)}}, environ={})):
            pass
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_it_stops_also_when_the_body_raises(tmp_path: Path, anyio_backend: str) -> None:
    before = asyncio.all_tasks()
    host = Host("shop", config={"host": {"data_dir": str(tmp_path), "allow": []}}, environ={})
    with pytest.raises(ZeroDivisionError):
        async with running(host):
            raise ZeroDivisionError
    assert asyncio.all_tasks() == before
