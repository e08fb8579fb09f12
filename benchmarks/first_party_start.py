"""What starting the plugins that come with plughost costs, against the import of all that they use.

    python benchmarks/first_party_start.py

The yardstick imports every module that is there when the host is ready, but those of plughost itself. Each measurement
is a process of its own that ends at once when it is done; the contenders take turns within each round, and what counts
is the median over rounds of the ratio within a round. Times are processor time, less that of an interpreter that does
nothing.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import surroundings
from import_time import seconds

ROUNDS = 5
PLUGINS = ("admin", "cache", "database", "diskcache", "fleet", "sessions")

_START = """
import asyncio, os, sys
from plughost import Host

config = {{
    "host": {{"data_dir": {folder!r}, "allow": {plugins!r}, "load_timeout": 600}},
    "plugins": {{"sessions": {{"config": {{"secret": "Xq3vT9-LwZ7kR2mB8nJ5hY4sD6fG1pC0uEaIoQt"}}}}}},
}}

async def main():
    async with Host("bench", config=config, environ={{}}) as host:
        assert sorted(host.report.loaded) == {plugins!r}, host.report
        {then}
        os._exit(0)

asyncio.run(main())
"""
_LIST = "print(*[name for name in sys.modules if name.partition('.')[0] != 'plughost'], flush=True)"
_IMPORT = """
import importlib, os

for name in {modules!r}:
    try:
        importlib.import_module(name)
    except ImportError:  # made by the module that imports it
        pass
os._exit(0)
"""


def start(folder: Path, then: str = "pass") -> str:
    return _START.format(folder=str(folder), plugins=sorted(PLUGINS), then=then)


def contenders(folder: Path) -> dict[str, str]:
    listed = subprocess.run(
        [sys.executable, "-c", start(folder, _LIST)], capture_output=True, text=True, check=True
    )
    modules = [name for name in listed.stdout.split() if name != "__main__"]
    return {
        "import of what they use": _IMPORT.format(modules=modules),
        "from plughost import Host": "import os\nfrom plughost import Host\nos._exit(0)",
        f"a host with {', '.join(PLUGINS)}": start(folder),
    }


def main() -> None:
    print(
        f"{Path(__file__).name}: {surroundings('plughost', 'anyio', 'msgspec', 'SQLAlchemy', 'starlette')}\n"
    )
    with tempfile.TemporaryDirectory() as name:
        codes = contenders(Path(name))
        times: dict[str, list[float]] = {name: [] for name in codes}
        for turn in range(ROUNDS + 1):
            nothing = seconds("import os; os._exit(0)")
            for name, code in codes.items():
                took = max(seconds(code) - nothing, 0.0)
                if turn:  # the first round writes byte code, and what the host remembers
                    times[name].append(took)
    yardstick, *_ = times.values()
    print("| | ratio | median |\n|---|---:|---:|")
    for name, own in times.items():
        ratio = statistics.median(mine / base for mine, base in zip(own, yardstick, strict=True))
        print(f"| {name} | {ratio:.2f} | {statistics.median(own) * 1000:.0f} ms |")


if __name__ == "__main__":
    main()
