"""What one of several processes does with sign-in links; in a module that each of them can import."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from plughost.http import AccessFile, SignIns


def redeem_all(folder: Path, codes: list[str], begin: Any, results: Any) -> None:
    """What one process does: wait for the others, then try every code."""
    doors = SignIns(AccessFile(folder), host_name="Acme-2", link_lifetime=600, browser_lifetime=3600)
    begin.wait(60)
    results.put([doors.redeem(code) for code in codes])
