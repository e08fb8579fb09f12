"""Plugins made from the template for tests: rendered, installed together, called from the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from plughost.cli.scaffold.questions import read_template
from plughost.cli.scaffold.rendering import complete, render

KINDS = ("hooks", "service", "routes", "command", "job", "panel", "upstream")

ALL = (*((kind,) for kind in KINDS), *combinations(KINDS, 2), KINDS[1:], KINDS)
"""Each kind, each two of them, everything, and everything but a hook: what one kind does to another shows in pairs."""

FEW = (*((kind,) for kind in KINDS[:5]), ("service", "job"), ("panel", "upstream"), KINDS)
"""A few: most by themselves, two pairs without a hook, and everything."""


def name_of(kinds: Sequence[str]) -> str:
    """Name of the plugin of a combination: ``with-hooks-job``; of many kinds ``with-7-kinds``."""
    return "-".join(("with", *kinds)) if len(kinds) < 3 else f"with-{len(kinds)}-kinds"


def make(folder: Path, kinds: Sequence[str], **answers: str) -> Path:
    """Render one plugin, as `plughost new` does; returns its folder."""
    template = read_template()
    given = {"name": name_of(kinds), "kinds": list(kinds), **answers}
    target = folder / given["name"]
    render(template, complete(template, given), target)
    return target


def install(folders: Sequence[Path], site: Path) -> None:
    """Install plugins into a folder that can stand on the import path: real wheels, built by their back end."""
    run(
        "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--no-compile",
        "--disable-pip-version-check", "--target", str(site), *map(str, folders),
    )  # fmt: skip


def run(
    module: str, *arguments: str, folder: Path | None = None, site: Path | None = None, timeout: float = 110
) -> subprocess.CompletedProcess[str]:
    """Run a module of Python in a process of its own, which must succeed."""
    ran = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder, env=environment(site), capture_output=True, text=True, check=False, timeout=timeout,
    )  # fmt: skip
    assert ran.returncode == 0, f"{module} {arguments}:\n{ran.stdout}\n{ran.stderr}"
    return ran


def environment(site: Path | None = None) -> dict[str, str]:
    """The environment without anything said of plughost, and with a folder on the import path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PLUGHOST_")}
    return kept | ({"PYTHONPATH": str(site)} if site else {})
