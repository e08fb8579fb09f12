"""What a package is worth: its SHA-256, of a file or of a whole folder."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from pathlib import Path

from plughost.exceptions import PluginSourceError

_CACHES = frozenset({"__pycache__", ".git", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".venv", ".tox"})
"""Folders that tools write into the code; they are not part of what was agreed on."""


def digest_of(path: Path) -> str:
    """Return the digest of a file, or of a folder: names, sizes and contents of all files in it, sorted.

    Caches that Python and common tools leave in a folder do not count.

    Raises:
        OSError: Something cannot be read.
    """
    if path.is_dir():
        return _digest_of_folder(path)
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


def _digest_of_folder(folder: Path) -> str:
    total = hashlib.sha256()
    for path in files_of(folder):
        name = path.relative_to(folder).as_posix().encode()
        # The length before the name, so that no two trees can be written as the same bytes.
        total.update(len(name).to_bytes(4, "big") + name + bytes.fromhex(digest_of(path)))
    return total.hexdigest()
