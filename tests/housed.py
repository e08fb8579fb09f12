"""A host with plugins in processes of their own, and what is left of them."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio

import faulty_hooks
from plughost import Host, Plugin, hookimpl
from plughost.contracts import ProcessRecord
from plughost.core.processes.template import import_path
from plughost.core.stepping import event_library
from plughost.core.wire.protocol import GuestSpec


class Neighbour(Plugin):
    """A plugin inside the host, which has to go on."""

    @hookimpl
    async def describe_device(self, user_agent: str) -> None:
        return None


def configuration(
    folder: Path, name: str = "faulty", config: Mapping[str, Any] | None = None, **process: Any
) -> dict[str, Any]:
    """The configuration of a host with one plugin of a folder in a process of its own."""
    table = {"isolation": "process", "config": config or {}, "process": process}
    host = {
        "plugin_dir": str(folder / "plugins"),
        "data_dir": str(folder / "data"),
        "allow": [name, "neighbour"],
    }
    return {"host": host, "plugins": {name: table}}


def write_plugin(folder: Path, source: str, name: str = "faulty") -> None:
    """Put a plugin into the folder of plugins."""
    (folder / "plugins").mkdir(exist_ok=True)
    (folder / "plugins" / f"{name}.py").write_text(source)


def nowhere(folder: Path) -> GuestSpec:
    """A plugin that is nowhere."""
    return GuestSpec(
        name="lost",
        reference="nowhere:Lost",
        source="directory",
        origin="",
        folder="",
        path=import_path(),
        project="plughost",
        hookspecs=(),
        data_dir=str(folder),
        library=event_library.name or "asyncio",
    )


@asynccontextmanager
async def housed(config: dict[str, Any], **hooks: Any) -> AsyncIterator[Host]:
    """A running host of that configuration; leaving it leaves no process and no open file."""
    config = {**config, **({"hooks": hooks} if hooks else {})}
    before = children(), open_files()
    async with Host("acme", config=config, environ={}, hookspecs=[faulty_hooks]) as host:
        yield host
    assert children() - before[0] == set()
    assert open_files().items() - before[1].items() == set()


async def became(host: Host, name: str, state: str) -> None:
    """Wait until a plugin is in a state."""
    await until(lambda: host.plugins[name].state == state)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so that nobody tells of."""
    with anyio.fail_after(20):
        while not condition():  # noqa: ASYNC110  nobody tells of it
            await anyio.sleep(0.01)


def process_of(host: Host, name: str = "faulty") -> ProcessRecord:
    """What is told of the process of a plugin."""
    process = host.plugins[name].process
    assert process is not None
    return process


def children(pid: int | None = None) -> set[int]:
    """The processes that a process began and has not forgotten."""
    pid = pid or os.getpid()
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended since
            found.update(int(one) for one in (task / "children").read_text().split())
    return found


def open_files() -> dict[str, str]:
    """The files this process has open, by number, and what they are."""
    found: dict[str, str] = {}
    for file in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists them
            found[file.name] = str(file.readlink())
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and nobody buried does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def waits_until(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Wait, without an event loop, until something is so; return whether it is."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return False


def housed_by(pid: int) -> int:
    """How many processes the template of a host has forked."""
    try:
        return sum(len(children(template)) for template in children(pid))
    except (FileNotFoundError, ProcessLookupError):
        return 0
