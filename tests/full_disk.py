"""A disk without room for new files."""

from __future__ import annotations

import errno
import os
import tempfile
from typing import Any

import pytest


def fill_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nothing written that is to be put in its place whole, until ``monkeypatch.undo``."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
