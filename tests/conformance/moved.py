"""Runs a program that was written for bare pluggy, unchanged, on a host: ``python moved.py MODE REQUEST``.

``MODE`` is ``own`` for the manager that the program makes for itself, ``pluggy`` for ``host.pluggy`` in its place, or
``hooks`` for ``host.sync_hooks`` as well. ``REQUEST`` is a name of ``PROGRAMS``; what it returns is printed as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pluggy

from plughost import Host
from plughost.blocking import BlockingHost

GROUPS = {"kedro": "kedro.hooks"}
"""Groups of entry points that are not named like the project."""

HOSTS: list[Any] = []
"""Every host that a program was given."""

_TIMES = re.compile(r'(query_ms"?: ?|Queries? took |took )[0-9.e-]+')


class Moved:
    """What a program gets when it makes a ``pluggy.PluginManager``: that of a host.

    Args:
        project: The name in its markers.
        through_hooks: Whether its calls go through ``host.sync_hooks``.
    """

    through_hooks = True

    def __init__(self, project: str) -> None:
        kind: Any = Host if project == "datasette" else BlockingHost  # datasette has an event loop
        self.host = kind.for_pluggy(project, (), group=GROUPS.get(project), config={}, environ={})
        self.manager = self.host.pluggy
        self.hook: Any = self.host.sync_hooks if self.through_hooks else self.manager.hook
        HOSTS.append(self.host)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.manager, name)

    def load_setuptools_entrypoints(self, group: str, name: str | None = None) -> int:
        """Let the host find and start the plugins; it runs in a thread of its own from now on."""
        self.host.start()
        return len([record for record in self.host.plugins.values() if record.source == "entry point"])


def move(mode: str) -> None:
    """Hand hosts out in the place of plugin managers from now on."""
    if mode != "own":
        pluggy.PluginManager = type("Moved", (Moved,), {"through_hooks": mode == "hooks"})  # type: ignore[misc]


async def datasette(mode: str) -> Any:
    """Answer the same requests with all plugins that are installed; times are left out."""
    os.environ["DATASETTE_LOAD_PLUGINS"] = ""
    if mode == "own":
        from datasette.app import Datasette

        return await _answers(Datasette)
    sys._called_from_test = True  # type: ignore[attr-defined]  # it must leave entry points to the host
    from datasette import hookspecs  # noqa: F401 - declares, on the host's manager
    from datasette.app import Datasette
    from datasette.plugins import DEFAULT_PLUGINS, pm

    (host,) = HOSTS
    async with host:
        for name in DEFAULT_PLUGINS:  # it registers its own last, so that they are called first
            pm.register(pm.unregister(name=name), name)
        answers = await _answers(Datasette)
        answers["report"] = {row.name: row.error.message for row in host.report.failed}
        return answers


PATHS = (
    "/", "/.json", "/-/plugins.json", "/-/metadata.json", "/-/settings.json", "/robots.txt", "/shop", "/shop.json",
    "/shop/goods", "/shop/goods.json", "/shop/goods.json?_shape=array", "/shop/goods.csv", "/shop/goods.copyable",
    "/shop/goods/1", "/shop/goods?_facet=kind", "/shop/goods?kind=fruit", "/shop?sql=select+haversine(1,2,3,4,'km')",
    "/shop.json?sql=select+*+from+goods", "/-/logout", "/nowhere", "/shop/nothing", "/-/static/app.css",
)  # fmt: skip


async def _answers(kind: Any) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "shop.db")
        with sqlite3.connect(path) as shop:
            shop.execute(
                "create table goods (id integer primary key, kind text, about text, latitude, longitude)"
            )
            shop.executemany(
                "insert into goods (kind, about, latitude, longitude) values (?, ?, ?, ?)",
                [
                    ("fruit", "# Apple", 1, 2),
                    ("tool", '{"href": "https://example.org", "label": "Saw"}', 3, 4),
                ],
            )
        program = kind([str(path)])
        await program.invoke_startup()
        answers = {}
        for one in PATHS:
            answer = await program.client.get(one)
            headers = {key: value for key, value in answer.headers.items() if key not in ("date", "etag")}
            answers[one] = [answer.status_code, headers, _TIMES.sub(r"\1T", answer.text)]
        return {"answers": answers, "plugins": sorted(row["name"] for row in program._plugins())}


def kedro(_: str) -> Any:
    """Trace every hook of a pipeline's run: its name, the node and dataset, and in which order."""
    from kedro.framework.hooks import _create_hook_manager, hook_impl
    from kedro.framework.hooks.manager import _register_hooks, _register_hooks_entry_points
    from kedro.io import DataCatalog, MemoryDataset
    from kedro.pipeline import node, pipeline
    from kedro.runner import SequentialRunner

    os.environ["KEDRO_DISABLE_TELEMETRY"] = os.environ["DO_NOT_TRACK"] = "1"
    trace: list[Any] = []

    class Trace:
        @hook_impl
        def before_node_run(self, node: Any, inputs: Any) -> None:
            trace.append(["before_node_run", node.name, sorted(inputs)])

        @hook_impl
        def after_node_run(self, node: Any, outputs: Any) -> None:
            trace.append(["after_node_run", node.name, dict(outputs)])

        @hook_impl
        def before_dataset_loaded(self, dataset_name: str) -> None:
            trace.append(["before_dataset_loaded", dataset_name])

        @hook_impl
        def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
            trace.append(["after_dataset_saved", dataset_name, data])

    manager = _create_hook_manager()
    _register_hooks(manager, (Trace(),))
    _register_hooks_entry_points(manager, ())
    double: Callable[[int], int] = lambda x: x * 2  # noqa: E731
    made = pipeline([node(double, "a", "b", name="first"), node(double, "b", "c", name="second")])
    SequentialRunner().run(made, DataCatalog({"a": MemoryDataset(21)}), manager)
    plugins = sorted(type(plugin).__name__ for plugin in manager.get_plugins())
    return {"answers": {str(place): one for place, one in enumerate(trace)}, "plugins": plugins}


PROGRAMS: dict[str, Callable[[str], Any]] = {"datasette": datasette, "kedro": kedro}


def main(mode: str, request: str) -> None:
    """Run one program and print what came of it, on the last line."""
    move(mode)
    found = PROGRAMS[request](mode)
    found = asyncio.run(found) if asyncio.iscoroutine(found) else found
    sys.stdout.flush()
    print("\n" + json.dumps(found, default=str), flush=True)
    os._exit(0)  # the host's own thread would be waited for


if __name__ == "__main__":
    main(*sys.argv[1:])
