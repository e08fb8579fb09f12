"""What programs on bare pluggy pay for a host: a call without a loop, and datasette's start and requests.

    pip install -e . -r tests/conformance/short.txt
    python benchmarks/pluggy_programs.py

Every round runs each contender once, in turn, and times are those of the processor: the least and the median of the
rounds, and the median of the ratios within a round. datasette runs in processes of its own, with all plugins that are
installed, and is asked for a page of a table.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROUNDS = int(os.environ.get("ROUNDS", "9"))
CALLS, REQUESTS = 500, 100
COUNT = 5
MODES = {"own": "its own manager", "pluggy": "`host.pluggy`", "hooks": "all calls through `host.sync_hooks`"}


def calls() -> dict[str, list[float]]:
    """Measure a hook call of five implementations from a program without a loop; seconds by contender."""
    import pluggy

    from plughost import hookspec
    from plughost.blocking import BlockingHost

    spec, impl = pluggy.HookspecMarker("calls"), pluggy.HookimplMarker("calls")

    class Specs:
        @spec
        def plain(self, what: int) -> int: ...

        @hookspec
        async def awaited(self, what: int) -> int: ...

    class Plugin:
        @impl
        def plain(self, what: int) -> int:
            return what + 1

        @impl
        async def awaited(self, what: int) -> int:
            return what + 1

    bare = pluggy.PluginManager("calls")
    bare.add_hookspecs(Specs)
    host = BlockingHost.for_pluggy("calls", Specs, config={}, environ={})
    for number in range(COUNT):
        for manager in (bare, host.pluggy):
            manager.register(Plugin(), str(number))
    with host:
        contenders: dict[str, Callable[..., Any]] = {
            "pluggy": bare.hook.plain,
            "`host.sync_hooks`": host.sync_hooks.plain,
            "`host.hooks` of a `BlockingHost`": host.hooks.plain,
            "the same, a hook whose implementations are awaited": host.hooks.awaited,
        }
        taken: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(ROUNDS):
            for name, call in contenders.items():
                began = time.process_time()
                for _ in range(CALLS):
                    call(what=1)
                taken[name].append((time.process_time() - began) / CALLS)
    return taken


async def datasette(mode: str) -> dict[str, float]:
    """Start datasette and ask it, in this process; processor seconds of the start and of one request.

    The start is told twice, with and without what plughost takes to be imported.
    """
    began = imported = time.process_time()
    sys.path.insert(0, str(HERE.parent / "tests" / "conformance"))
    os.environ["DATASETTE_LOAD_PLUGINS"] = ""
    if mode != "own":
        from moved import HOSTS, move

        imported = time.process_time()
        move(mode)
        sys._called_from_test = True  # type: ignore[attr-defined]  # it must leave entry points to the host
    from datasette import hookspecs  # noqa: F401 - declares, on whichever manager it makes
    from datasette.app import Datasette

    if mode != "own":
        await HOSTS[0].__aenter__()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "shop.db")
        with sqlite3.connect(path) as shop:
            shop.execute("create table goods (id integer primary key, kind text)")
            shop.executemany("insert into goods (kind) values (?)", [("fruit",), ("tool",)])
        program = Datasette([str(path)])
        await program.invoke_startup()
        started = time.process_time()
        for _ in range(REQUESTS):
            answer = await program.client.get("/shop/goods")
        assert answer.status_code == 200
        asked = time.process_time()
    if mode != "own":
        await HOSTS[0].__aexit__(None, None, None)
    return {
        "start": started - began,
        "start without import": started - imported,
        "request": (asked - started) / REQUESTS,
    }


def programs() -> dict[str, dict[str, list[float]]]:
    """Run datasette in each way, in turn; seconds by figure and way."""
    taken: dict[str, dict[str, list[float]]] = {"start": {}, "start without import": {}, "request": {}}
    for _ in range(ROUNDS):
        for mode in MODES:
            done = subprocess.run(
                [sys.executable, __file__, mode], stdout=subprocess.PIPE, text=True, check=True, timeout=300
            )
            for figure, seconds in json.loads(done.stdout.splitlines()[-1]).items():
                taken[figure].setdefault(MODES[mode], []).append(seconds)
    return taken


def show(title: str, taken: Mapping[str, Sequence[float]], unit: float, name: str) -> None:
    """Print a table: the first contender is the yardstick."""
    yardstick = next(iter(taken.values()))
    print(f"\n| {title} | least, {name} | median, {name} | of the first |\n|---|---|---|---|")
    for contender, seconds in taken.items():
        ratio = statistics.median(mine / theirs for mine, theirs in zip(seconds, yardstick, strict=True))
        print(
            f"| {contender} | {min(seconds) * unit:.1f} | {statistics.median(seconds) * unit:.1f} | {ratio:.2f} |"
        )


def main() -> None:
    """Measure and print."""
    show("one call, five implementations", calls(), 1e6, "us")
    try:
        import datasette  # noqa: F401
    except ImportError:
        print("\ndatasette is not installed: pip install -r tests/conformance/short.txt")
        return
    taken = programs()
    show("datasette's start", taken["start"], 1e3, "ms")
    show("the same, where plughost is imported already", taken["start without import"], 1e3, "ms")
    show("a request to datasette", taken["request"], 1e3, "ms")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(asyncio.run(datasette(sys.argv[1]))))
    else:
        main()
