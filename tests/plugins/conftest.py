"""What tests of several plugins need: a real server of their own, and modules with stores of somebody else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servers import Server
from servers import server as running_server


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that a test may stop and start again."""
    with running_server() as started:
        yield started


@pytest.fixture
def write_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], str]:
    """Write a module into a folder on the import path, where distributions may be made as well; return its name."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)

    def write(name: str, source: str) -> str:
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
        monkeypatch.delitem(sys.modules, name, raising=False)
        return name

    return write
