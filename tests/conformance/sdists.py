"""The source distribution of a package, of one version, from the package index: its tests are in no wheel."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path


def sdist(distribution: str, version: str, folder: Path) -> Path:
    """Return the unpacked source of a distribution below ``folder``; it is fetched once.

    Raises:
        subprocess.CalledProcessError: The index has no such version as a source, or cannot be reached.
    """
    found = _unpacked(folder, distribution, version)
    if found is None:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
             "--no-binary", ":all:", "--dest", str(folder), f"{distribution}=={version}"],
            check=True,
        )  # fmt: skip
        for archive in folder.glob("*.tar.gz"):
            with tarfile.open(archive) as packed:
                packed.extractall(folder, filter="data")
            archive.unlink()
        found = _unpacked(folder, distribution, version)
    assert found is not None
    return found


def _unpacked(folder: Path, distribution: str, version: str) -> Path | None:
    plain = distribution.replace("-", "_").replace(".", "_").lower()
    for path in folder.glob(f"*-{version}"):
        if path.name.replace("-", "_").replace(".", "_").lower().startswith(plain):
            return path
    return None
