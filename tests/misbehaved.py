"""Installed plugins that would end a program on bare pluggy while it loads them."""

from __future__ import annotations

from pathlib import Path

MISDEEDS = {
    "raising": "raise OSError('no such disk')",
    "hanging": "import time\ntime.sleep(3600)",
    "leaving": "import sys\nsys.exit(3)",
}
"""What each does when it is imported."""


def install(folder: Path, group: str, *names: str) -> Path:
    """Lay distributions with these plugins into a folder that is to stand in ``sys.path``; return the folder."""
    for name in names:
        (folder / f"{name}_guest.py").write_text(f"{MISDEEDS[name]}\n", "utf-8")
        about = folder / f"{name}_guest-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-guest\nVersion: 1.0\n", "utf-8")
        (about / "entry_points.txt").write_text(f"[{group}]\n{name} = {name}_guest\n", "utf-8")
    return folder
