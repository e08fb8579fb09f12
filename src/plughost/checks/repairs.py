"""What can be mended in a plugin's folder without asking its author."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from plughost.checks.subject import Subject
from plughost.contracts.files import replace_file
from plughost.core.finding.cards import find_card
from plughost.core.finding.sources import MANIFEST

Repair = Callable[[], None]


def set_on_card(subject: Subject, key: str, value: Any) -> Repair | None:
    """Return what writes a value to the plugin's card; None for one that is installed or has no card."""
    finding = subject.candidate.finding
    card = find_card(finding.reference, finding.folder) if finding.source == "directory" else None
    return None if card is None else lambda: _set(card, (key,), value)


def set_in_project(subject: Subject, key: str, value: Any) -> Repair | None:
    """Return what writes a value to ``[project]`` of the manifest; None for a plugin that is installed."""
    finding = subject.candidate.finding
    if finding.source != "directory":
        return None
    return lambda: _set(Path(finding.origin) / MANIFEST, ("project", key), value)


def _set(file: Path, path: tuple[str, ...], value: Any) -> None:
    """Set one value; comments and layout of the rest stay."""
    import tomlkit  # late, as it takes long: few plugins are mended

    document = tomlkit.parse(file.read_text(encoding="utf-8"))
    table: Any = document
    for key in path[:-1]:
        table = table[key]
    table[path[-1]] = value
    replace_file(file.resolve(), tomlkit.dumps(document).encode())
