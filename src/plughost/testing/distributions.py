"""Distributions made of source text: with real metadata, found as if pip had installed them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

from plughost._dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MadeDistribution:
    """A distribution in a folder that stands on the import path.

    Attributes:
        name: Its name.
        folder: The folder that holds its modules and its ``.dist-info``.
    """

    name: str
    folder: Path


def make_distribution(
    folder: Path,
    name: str,
    *,
    version: str = "1.0.0",
    modules: Mapping[str, str],
    entry_points: Mapping[str, Mapping[str, str]],
) -> MadeDistribution:
    """Write a distribution into ``folder``; it is installed for whoever has that folder on ``sys.path``.

    Args:
        folder: Made when it is not there; several distributions may share one.
        name: Name of the distribution.
        version: Its version.
        modules: File name (``greeter.py``, ``greeter/plugin.toml``) to source text, which is dedented.
        entry_points: Group to name to reference.
    """
    for file, source in modules.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source), encoding="utf-8")
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8"
    )
    lines: list[str] = []
    for group, points in entry_points.items():
        lines += [f"[{group}]", *(f"{name} = {reference}" for name, reference in points.items()), ""]
    (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    return MadeDistribution(name, folder)
