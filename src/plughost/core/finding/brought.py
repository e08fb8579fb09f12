"""Which files a distribution brings, by what its installer noted beside its metadata."""

from __future__ import annotations

import csv
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec


class Brought(msgspec.Struct, frozen=True):
    """What a distribution brings to the import path.

    Attributes:
        modules: Names of its modules, as far as they are written in Python.
        project: The folder it was installed from to be worked on, in which its modules lie; None when it was not.
    """

    modules: frozenset[str] = frozenset()
    project: Path | None = None


def brought_by(metadata: Path) -> Brought:
    """Return what the distribution with this folder of metadata brings; nothing when that was not noted."""
    try:
        noted = msgspec.json.decode((metadata / "direct_url.json").read_bytes(), type=_DirectUrl)
    except (OSError, ValueError):
        pass
    else:
        parts = urlsplit(noted.url)
        if parts.scheme == "file" and noted.dir_info.editable:
            return Brought(project=Path(unquote(parts.path)).resolve())
    try:
        with (metadata / "RECORD").open(encoding="utf-8", newline="") as record:
            rows = [row[0] for row in csv.reader(record) if row]
    except (OSError, ValueError, csv.Error):
        return Brought()
    names = (name.removesuffix(".py").removesuffix("/__init__") for name in rows if name.endswith(".py"))
    return Brought(frozenset(name.replace("/", ".") for name in names))


class _Folder(msgspec.Struct):
    editable: bool = False


class _DirectUrl(msgspec.Struct):
    """As PEP 610 has it, as far as folders are concerned."""

    url: str
    dir_info: _Folder = msgspec.field(default_factory=_Folder)
