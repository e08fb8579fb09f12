"""What a plugin's process does before it is ready: as much as its plugin takes, and nothing that was done before."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from counting import counted
from housed import write_plugin
from plughost.core.guest.life import warm_up
from plughost.core.guest.plugin import imported_plugin
from plughost.core.wire.protocol import GuestSpec
from plughost.hookspecs import CATALOGUE, PROJECT

TRIVIAL = """
from plughost import Plugin, hookimpl

class Trivial(Plugin):
    @hookimpl
    async def describe_device(self, user_agent):
        return None
"""


def test_a_process_reads_neither_the_hooks_nor_its_version_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    warm_up()
    first, second = (born(tmp_path, name) for name in ("trivial_once", "trivial_twice"))
    assert max(first, second) < 100_000  # instructions; it took several times as many when it read them


def born(folder: Path, name: str) -> int:
    """The instructions that it takes to import a plugin and to say what it is."""
    write_plugin(folder, TRIVIAL, name)
    spec = GuestSpec(
        name=name,
        reference=f"{name}:Trivial",
        source="directory",
        origin="",
        folder=str(folder / "plugins"),
        path=(),
        project=PROJECT,
        hookspecs=tuple(family.__name__ for family in CATALOGUE),
        library="asyncio",
        data_dir=os.devnull,
    )
    with counted() as found:
        imported_plugin(spec).manifest(())
    sys.modules.pop(name, None)
    return found.instructions
