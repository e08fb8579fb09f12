"""Run every benchmark of this folder, one after the other: ``python benchmarks``.

Exits with 1 when one of them failed or missed its own limit; the others still run.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NOT_ONE = {"__main__.py", "harness.py"}


def main() -> int:
    failed = []
    for script in sorted(path for path in HERE.glob("*.py") if path.name not in NOT_ONE):
        print(f"\n## {script.name}\n", flush=True)
        if subprocess.run([sys.executable, str(script)], check=False).returncode != 0:
            failed.append(script.name)
    print(f"\nfailed: {', '.join(failed) or 'none'}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
