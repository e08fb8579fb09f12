"""Run benchmarks of this folder, one after the other: ``python benchmarks cache_*.py session_*.py``.

Without patterns, those that need no other peers than ``requirements.txt`` names. Exits with 1 when one of them
failed or missed its own limit; the others still run.
"""

from __future__ import annotations

import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

HERE = Path(__file__).parent
NOT_ONE = {"__main__.py", "cache_servers.py", "fleet_hosts.py", "harness.py", "hosting.py"}
OWN_PEERS = (
    "cache_*.py",
    "direct_peers.py",
    "fleet_peers.py",
    "media.py",
    "process_peers.py",
    "session_*.py",
)


def chosen(patterns: list[str]) -> list[Path]:
    """Scripts that match a pattern; without patterns, all whose peers can be installed together."""
    scripts = sorted(path for path in HERE.glob("*.py") if path.name not in NOT_ONE)
    if patterns:
        return [path for path in scripts if any(fnmatch(path.name, pattern) for pattern in patterns)]
    return [path for path in scripts if not any(fnmatch(path.name, pattern) for pattern in OWN_PEERS)]


def main() -> int:
    failed = []
    for script in chosen(sys.argv[1:]):
        print(f"\n## {script.name}\n", flush=True)
        if subprocess.run([sys.executable, str(script)], check=False).returncode != 0:
            failed.append(script.name)
    print(f"\nfailed: {', '.join(failed) or 'none'}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
