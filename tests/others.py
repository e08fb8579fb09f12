"""A process whose rights are those of anybody, also when the tests run as the super-user."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# It stays the same user, who can read Python wherever it lies, and can no more pass over what modes forbid: the rights
# with the numbers 1 and 2.
_GIVEN_UP = """
import ctypes, os
if os.geteuid() == 0:
    head, rights = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    system = ctypes.CDLL(None)
    assert system.capget(head, rights) == 0
    rights[0] &= ~0b110
    assert system.capset(head, rights) == 0
"""


def run_as_anybody(code: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run Python code that may read and write no more than modes of files say."""
    return subprocess.run(
        [sys.executable, "-c", _GIVEN_UP + code, *arguments],
        cwd=cwd, capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
