"""A virtual environment as its files describe it; neither its interpreter nor anything installed in it is run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Final

import msgspec

MARK: Final = "pyvenv.cfg"
"""The file that makes a folder a virtual environment."""


class VirtualEnvironment(msgspec.Struct, frozen=True, dict=True):
    """A virtual environment for plugins that are not to share the host's packages.

    Attributes:
        folder: Where it lies, links followed: a link can point to another one later, what runs in it goes on.
    """

    folder: Path

    @classmethod
    def at(cls, place: Path) -> VirtualEnvironment:
        """Return the environment that a path means now; whether it is one, ``problem`` says."""
        return cls(place.resolve())

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")

    @cached_property
    def settings(self) -> dict[str, str]:
        """What its ``pyvenv.cfg`` says; empty when there is none."""
        try:
            text = (self.folder / MARK).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return {}
        lines = (line.partition("=") for line in text.splitlines())
        return {key.strip().lower(): value.strip() for key, _, value in lines}

    @property
    def is_current(self) -> bool:
        """Whether this process runs in it."""
        return self.folder == Path(sys.prefix).resolve()

    @property
    def version(self) -> str:
        """The version of its Python, such as ``3.12.1``; empty when it does not say."""
        return self.settings.get("version") or self.settings.get("version_info", "")

    @property
    def shares_packages(self) -> bool:
        """Whether it also sees what is installed beside the Python it was made with."""
        return self.settings.get("include-system-site-packages", "").lower() == "true"

    @property
    def problem(self) -> str:
        """Why nothing can run in it; empty when something can."""
        if not self.folder.is_dir():
            return "is not there"
        if not self.settings:
            return f"is not a virtual environment (it has no {MARK})"
        if not self.python.exists():
            return f"has lost its interpreter ({self.python})"
        return ""

    @cached_property
    def import_path(self) -> tuple[str, ...]:
        """The folders that its interpreter imports from, those of Python itself left out."""
        if sys.platform == "win32":
            folders = [self.folder / "Lib" / "site-packages"]
        else:
            short = ".".join(self.version.split(".")[:2])
            found = sorted(self.folder.glob("lib/python*/site-packages"))
            folders = [one for one in found if one.parent.name == f"python{short}"] or found
        return tuple(dict.fromkeys(str(place) for folder in folders for place in _with_links(folder)))

    def home_of(self, reference: str) -> Path | None:
        """Return the folder of ``import_path`` that holds the package of ``module:attribute``; None when none does."""
        top = reference.partition(":")[0].partition(".")[0]
        for folder in map(Path, self.import_path):
            files = (file for suffix in (".py", ".so", ".pyd") for file in folder.glob(f"{top}*{suffix}"))
            if (folder / top).is_dir() or any(file.name.partition(".")[0] == top for file in files):
                return folder
        return None

    def has(self, distribution: str) -> bool:
        """Whether a distribution is installed in it."""
        return self.version_of(distribution) is not None

    def version_of(self, distribution: str) -> str | None:
        """Return the version of a distribution that is installed in it, by the name of its metadata; else None."""
        for folder in map(Path, self.import_path):
            for metadata in folder.glob(f"{distribution}-*.dist-info"):
                return metadata.name.removesuffix(".dist-info").rpartition("-")[2]
        return None


def _with_links(folder: Path) -> Iterator[Path]:
    """The folder, and those that its ``.pth`` files add, as an editable installation does; their code is not run."""
    yield folder
    for file in sorted(folder.glob("*.pth")):
        try:
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        for line in map(str.strip, lines):
            if line and not line.startswith(("#", "import ", "import\t")):
                place = Path(os.path.normpath(folder / line))
                if place.is_dir():
                    yield place
