"""What a plugin's process does before it is ready: as much as its plugin takes, and nothing that was done before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from counting import counted
from housed import configuration, housed, process_of, write_plugin
from plughost.core.guest.plugin import imported_plugin
from plughost.core.guest.rehearsal import rehearse
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
    rehearse("asyncio")
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


@pytest.mark.anyio
async def test_a_process_has_little_memory_to_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)  # its notes are memory, too
    write_plugin(tmp_path, TRIVIAL, "trivial")
    async with housed(configuration(tmp_path, "trivial")) as host:
        told = await anyio.Path(f"/proc/{process_of(host, 'trivial').pid}/smaps_rollup").read_text()
        kilobytes = sum(int(line.split()[1]) for line in told.splitlines() if line.startswith("Private_"))
        # Each use of an object is written into it before 3.12. It was above 9,000 on all of them.
        assert kilobytes < (5_000 if sys.version_info >= (3, 12) else 8_000)


USES = """
from plughost.core.guest.sharing import share_all
import sys
here = ["text %d" % number for number in range(3)]
code = compile("a = 'text in code'", "", "exec")
shared = [here, here[0], code, code.co_consts[0]]
share_all()
before = [sys.getrefcount(one) for one in shared]
uses = [*shared]
print([sys.getrefcount(one) for one in shared] == before)
"""


def test_no_use_is_counted_of_what_is_shared_where_the_interpreter_allows_it() -> None:
    found = subprocess.run([sys.executable, "-c", USES], capture_output=True, text=True, check=True)
    assert found.stdout == f"{sys.version_info >= (3, 12)}\n"
