"""Which plugins come with plughost: those that the metadata of the running plughost list, whatever others say."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from plughost.core.finding.installed import parse_entry_points
from plughost.core.finding.sources import Finding

_DISTRIBUTION = "plughost"


def is_first_party(finding: Finding) -> bool:
    """Whether the plugin comes with the running plughost.

    A distribution or folder that merely calls itself ``plughost`` does not count, and a class that was handed
    over counts when it is plughost's own code.
    """
    if finding.source == "code":
        return finding.origin.startswith(f"{_DISTRIBUTION}.")
    return finding.source in {"entry point", "configuration"} and finding.reference in _own_references()


@cache
def _own_references() -> frozenset[str]:
    # Late, because it takes longer to import than a small host takes to start, and only safe mode asks.
    import importlib_metadata

    home = Path(__file__).resolve().parents[2]
    for distribution in importlib_metadata.distributions(name=_DISTRIBUTION):
        if _holds(distribution, home):
            text = distribution.read_text("entry_points.txt") or ""
            points = parse_entry_points(text, ("plughost.plugins",), _DISTRIBUTION, "", "")
            return frozenset(point.reference for point in points)
    return frozenset()


def _holds(distribution: Any, home: Path) -> bool:
    """Whether the distribution's code is what runs: beside its metadata, or in the folder it is edited in."""
    if Path(str(distribution.locate_file(home.name))).resolve() == home:
        return True
    # Late, because it brings what talks HTTP.
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    url = getattr(distribution.origin, "url", "")
    return url.startswith("file:") and home.is_relative_to(Path(url2pathname(urlsplit(url).path)).resolve())
