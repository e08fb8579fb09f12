"""A command line to call as a person would, and plugins of every kind to call it on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from plughost.cli.entry import run_program


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command did.

    Attributes:
        code: Its exit code.
        out: What it wrote to standard output.
        err: What it wrote to standard error.
    """

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)


Cli = Callable[..., Ran]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and an environment that says nothing of plughost."""
    home = tmp_path / "work"
    home.mkdir()
    monkeypatch.chdir(home)
    for name in [name for name in os.environ if name.startswith("PLUGHOST_")]:
        monkeypatch.delenv(name)
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return home


@pytest.fixture
def cli(folder: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command in ``folder``: ``cli("list", "--json").document``."""

    def call(*arguments: str) -> Ran:
        capsys.readouterr()
        code = run_program(arguments)
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return call


@pytest.fixture
def configure(folder: Path) -> Callable[[str], Path]:
    """Write ``plughost.toml``."""

    def write(text: str) -> Path:
        path = folder / "plughost.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Load these plugins and none of those that happen to be installed here."""

    def allow(*names: str) -> None:
        monkeypatch.setenv("PLUGHOST_LOAD_PLUGINS", ",".join(names))

    return allow
