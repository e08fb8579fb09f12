"""Plugins in a process of their own: what a deployer may say of it, and what is told of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from plughost._dataclasses import dataclass
from plughost.contracts.frozen import Payload

Isolation = Literal["none", "process"]
"""Whether a plugin runs inside the host's process or in one of its own."""

Size = Annotated[str, Meta(pattern=r"^[0-9]+(\.[0-9]+)? ?(B|kB|MB|GB)\Z", examples=["256MB"])]
"""An amount of memory, such as ``256MB``; ``kB`` is a thousand bytes."""

_BYTES = {"B": 1, "kB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000}


class Confinement(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table ``[plugins.NAME.process.confine]``: what the process may touch; its mere presence confines.

    What it needs in any case may always be read: the interpreter, the installed packages, the plugin's own folder.
    Its ``data_dir`` may always be written. Where the kernel cannot keep all of this, the plugin is not started.

    Attributes:
        read: Further files and folders it may read; relative to the configuration file.
        write: Further ones it may write.
        network: Whether it may open network connections.
        user: Name of the user it runs as; needs a host that runs as root.
        programs: Whether it may start programs and processes.
        strict: Confine it before its code is imported, and not only before ``start``.
        best_effort: Start it also where the kernel keeps only some of this; the record says what holds.
    """

    read: tuple[Path, ...] = ()
    write: tuple[Path, ...] = ()
    network: bool = False
    user: str = ""
    programs: bool = False
    strict: bool = False
    best_effort: bool = False


class ProcessSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table ``[plugins.NAME.process]``: how a plugin's own process is kept.

    Attributes:
        memory: What it may use. Above it, it is replaced by a new one; twice as much it is not given at all.
        cpu: How many processors it may use, such as ``0.5``, where the host may set that; else it only has to stand
            back when processors are scarce.
        strikes: How many calls that would not end when cancelled are forgiven before it is killed and begun anew.
        start: ``template`` forks it from a process in which plughost is imported; ``fresh`` starts an interpreter,
            which takes longer and shares nothing with other plugins.
        confine: What it may touch; it is not confined without it.
    """

    memory: Size | None = None
    cpu: Annotated[float, Meta(gt=0, le=4096)] | None = None
    strikes: Annotated[int, Meta(ge=1)] = 3
    start: Literal["template", "fresh"] = "template"
    confine: Confinement | None = None

    def __post_init__(self) -> None:
        if self.memory is not None and not re.search(r"[1-9]", self.memory):
            raise ValueError("memory is nothing: write it like '256MB', or take it out for no limit")

    @property
    def memory_bytes(self) -> int | None:
        """``memory`` in bytes."""
        return None if self.memory is None else size_in_bytes(self.memory)


def size_in_bytes(size: str) -> int:
    """Return an amount of memory, such as ``256MB``, in bytes.

    Raises:
        ValueError: It is not one.
    """
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?(B|kB|MB|GB)", size)
    if found is None:
        raise ValueError(f"{size!r} is not an amount of memory: write it like '256MB'")
    return int(float(found[1]) * _BYTES[found[2]])


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessExit(Payload):
    """How a plugin's process ended.

    Attributes:
        at: When, in seconds since the epoch.
        reason: One sentence for a person: what ended it.
        exit: Its exit status; None when a signal ended it.
        signal: Name of the signal that ended it, such as ``SIGSEGV``; empty when none did.
        call: What it was doing: the name of a hook, ``import``, ``start``, ``stop`` or ``job NAME``; empty when
            nothing.
        peak_memory: The most memory it ever used, in bytes; None when unknown.
        stack: Where its threads stood, for people; empty when it could not be asked.
        output: The end of what it wrote to its standard streams.
    """

    at: float
    reason: str
    exit: int | None = None
    signal: str = ""
    call: str = ""
    peak_memory: int | None = None
    stack: str = ""
    output: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRecord(Payload):
    """A plugin's own process at one moment.

    Attributes:
        pid: Its number; None while there is none.
        start: How it was started: ``template`` or ``fresh``.
        since: When it was started, in seconds since the epoch; None while there is none.
        restarts: How often it was begun anew because it had ended.
        in_flight: How many calls it has not answered yet.
        strikes: How many of its calls would not end when cancelled.
        memory: Memory it uses now, in bytes; None before it was first looked at.
        cpu_seconds: Processor time it has used, in seconds; None before it was first looked at.
        cpu_share: Processors it used of late, such as ``0.25``; None before it was looked at twice.
        threads: How many threads it has; None before it was first looked at.
        files: How many files it has open; None before it was first looked at.
        sent: Bytes the host sent to it.
        received: Bytes the host received from it.
        confinement: What holds it back, one word or sentence each; empty when it is not confined.
        last_exit: How the one before it ended, if nobody had asked for that.
    """

    pid: int | None = None
    start: str = "template"
    since: float | None = None
    restarts: int = 0
    in_flight: int = 0
    strikes: int = 0
    memory: int | None = None
    cpu_seconds: float | None = None
    cpu_share: float | None = None
    threads: int | None = None
    files: int | None = None
    sent: int = 0
    received: int = 0
    confinement: tuple[str, ...] = ()
    last_exit: ProcessExit | None = None
