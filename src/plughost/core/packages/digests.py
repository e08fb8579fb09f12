"""What a package is worth: its SHA-256, of a file or of a whole folder."""

from __future__ import annotations

import errno
import glob
import hashlib
import hmac
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import cache_from_source
from pathlib import Path

from plughost.exceptions import PluginSourceError

_CACHES = frozenset({"__pycache__", ".git", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".venv", ".tox"})
"""Folders that tools write into the code; they are not part of what was agreed on."""


def digest_of_files(path: Path) -> str:
    """Return the digest of a file, or of a folder: names, sizes and contents of all files in it, sorted.

    Caches that Python and common tools leave in a folder do not count; see ``remove_compiled``.

    Raises:
        OSError: Something cannot be read, or is something whose contents a digest cannot cover: a link leads to
            other code without a change of the digest.
    """
    if path.is_dir():
        total = hashlib.sha256()
        for file in sorted(_every_file(path)):
            name = os.fsencode(file.relative_to(path).as_posix())
            # The length before the name, so that no two trees can be written as the same bytes.
            total.update(len(name).to_bytes(4, "big") + name + bytes.fromhex(digest_of_files(file)))
        return total.hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_digest(plugin: str, place: str, wanted: str, found: str) -> None:
    """Compare digests in constant time.

    Raises:
        PluginSourceError: They differ.
    """
    if not hmac.compare_digest(wanted.lower(), found):
        raise PluginSourceError(
            f"plugin {plugin!r}: {place} has the SHA-256 {found}, but {wanted.lower()} was pinned. It was changed, "
            f"and is not used; if the change is wanted, correct sha256 under [plugins.{plugin}]",
            plugin=plugin,
        )


def files_of(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder in a fixed order, without what tools leave in it."""
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder)
        if path.is_file() and not _CACHES.intersection(inner.parts):
            yield path


def remove_compiled(folder: Path) -> None:
    """Remove Python's compiled code: it would be run in the place of the source, and no digest covers it.

    Raises:
        OSError: Some of it cannot be removed.
    """
    for cache in [*folder.rglob("__pycache__")]:
        if cache.is_symlink() or not cache.is_dir():
            cache.unlink()
        else:
            shutil.rmtree(cache)


def remove_compiled_file(source: Path) -> None:
    """Remove what any Python compiled of one source file; what cannot be removed stays."""
    with suppress(OSError, NotImplementedError, ValueError):
        place = Path(cache_from_source(source)).parent  # elsewhere when PYTHONPYCACHEPREFIX is set
        for compiled in place.glob(f"{glob.escape(source.stem)}.*.pyc"):
            compiled.unlink()


def _every_file(folder: Path) -> Iterator[Path]:
    for place in folder.iterdir():
        if place.name in _CACHES:
            continue
        mode = place.lstat().st_mode
        if stat.S_ISDIR(mode):
            yield from _every_file(place)
        elif stat.S_ISREG(mode):
            yield place
        else:
            kind = "a symbolic link" if stat.S_ISLNK(mode) else "no plain file"
            raise OSError(errno.EINVAL, f"{place} is {kind}, which no digest covers; put a plain file there")
