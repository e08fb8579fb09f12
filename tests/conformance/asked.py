"""What each program is asked: each function runs one, on whichever manager it makes, and returns what it said.

A program is handed the list of the hosts that it is given, which is empty at first; None when it runs on its own
managers.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

_TIMES = re.compile(r'(query_ms"?: ?|Queries? took |took )[0-9.e-]+')


Hosts = list[Any] | None


async def datasette(hosts: Hosts) -> Any:
    """Answer the same requests with all plugins that are installed; times are left out."""
    os.environ["DATASETTE_LOAD_PLUGINS"] = ""
    if hosts is None:
        from datasette.app import Datasette

        return await _answers(Datasette)
    sys._called_from_test = True  # type: ignore[attr-defined]  # it must leave entry points to the host
    from datasette import hookspecs  # noqa: F401 - declares, on the host's manager
    from datasette.app import Datasette
    from datasette.plugins import DEFAULT_PLUGINS, pm

    (host,) = hosts
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


def kedro(_: Hosts) -> Any:
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


LINES = (
    "--help", "models list", "plugins", "tools list", "templates loaders", "fragments loaders", "cmd --help",
    "jq --help", "aliases list", "keys path",
)  # fmt: skip


def llm(_: Hosts) -> Any:
    """Say what the command line offers with all plugins that are installed."""
    from click.testing import CliRunner
    from llm import get_plugins
    from llm.cli import cli

    answers = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LLM_USER_PATH"] = folder
        for line in LINES:
            done = CliRunner().invoke(cli, line.split())
            answers[line] = [done.exit_code, done.output.replace(folder, "HERE")]
    return {"answers": answers, "plugins": sorted(row["name"] for row in get_plugins(all=True))}


TOX = """
env_list = ["a", "b"]
[env_run_base]
skip_install = true
commands = [["python", "-c", "print('hello from a test environment')"]]
"""
TOXFILE = """
from tox.plugin import impl

@impl
def tox_extend_envs():
    return ("c",)

@impl
def tox_before_run_commands(tox_env):
    print("before", tox_env.name)

@impl
def tox_after_run_commands(tox_env, exit_code, outcomes):
    print("after", tox_env.name, exit_code, len(outcomes))
"""
_TOOK = re.compile(
    r"\(?[0-9.]+(=setup\[[0-9.]+\]\+cmd\[[0-9.,]+\])? seconds\)?|in [0-9.]+ seconds|HASHSEED=[0-9]+|^python = .*$",
    re.M,
)


def tox(_: Hosts) -> Any:
    """List, show and run environments, with the plugins that are installed and one in the project's own toxfile."""
    from tox.plugin.manager import MANAGER
    from tox.run import main

    answers = {}
    with tempfile.TemporaryDirectory() as folder:
        shop = Path(folder, "shop")
        shop.mkdir()
        (shop / "tox.toml").write_text(TOX, "utf-8")
        (shop / "toxfile.py").write_text(TOXFILE, "utf-8")
        for line in ("list", "config -e c", "run -e a", "run -e c"):
            command, *rest = line.split()
            said = Path(folder, "said")
            with said.open("w") as out, contextlib.redirect_stdout(out):
                code = main([command, "--colored", "no", "-c", f"{shop}/tox.toml", *rest])
            assert not code, said.read_text()
            answers[line] = _TOOK.sub("T", said.read_text().replace(folder, "HERE"))
    plugins = (MANAGER.manager.get_name(plugin) for plugin in MANAGER.manager.get_plugins())
    return {"answers": answers, "plugins": sorted(str(name).partition(" from ")[0] for name in plugins)}


CONFTEST = """
import pytest

def pytest_addoption(parser):
    parser.addoption("--shop", default="corner")

def pytest_report_header(config):
    return f"shop: {config.getoption('shop')}"

def pytest_collection_modifyitems(items):
    items.reverse()

@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    outcome.get_result().sections.append(("told", call.when))

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item):
    print("before", item.name)
    return (yield)

class Late:
    def pytest_sessionfinish(self, session):
        print("the session ends")

@pytest.fixture(autouse=True, scope="session")
def late(request):
    request.config.pluginmanager.register(Late(), "late")
"""
TESTS = """
import pytest

@pytest.fixture(params=["apple", "saw"])
def ware(request):
    return request.param

def test_sold(ware, capsys):
    print(ware)
    assert ware in capsys.readouterr().out

@pytest.mark.parametrize("count", [1, 2])
def test_counted(count):
    assert count != 2

@pytest.mark.skip(reason="closed")
def test_skipped(): ...

@pytest.mark.xfail(raises=ZeroDivisionError)
def test_expected():
    1 / 0

def test_without_its_fixture(nowhere): ...
"""
ARGUMENTS = (
    "-v -rA --shop market", "--collect-only -q", "--setup-plan", "--fixtures -q", "--markers", "-x -k counted",
    "--help",
)  # fmt: skip
_LASTED = re.compile(r" in [0-9.]+s|=+|0x[0-9a-f]+")
_NOTED = re.compile(r"^(E +)?in hook '\w+' of plugin '\w+'\n", re.M)
"""What a host notes on an exception that leaves an implementation; pytest prints the notes of what a test raised."""


def pytest(_: Hosts) -> Any:
    """Run, list and explain tests, with the plugins that are installed and a ``conftest.py``."""
    runner = importlib.import_module("pytest")
    answers = {}
    installed: list[str] = []

    class Watching:
        def pytest_configure(self, config: Any) -> None:
            found = config.pluginmanager.list_plugin_distinfo()
            installed[:] = sorted({distribution.project_name for _, distribution in found} - {"plughost"})

    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path(folder, "conftest.py").write_text(CONFTEST, "utf-8")
        Path(folder, "test_shop.py").write_text(TESTS, "utf-8")
        for line in ARGUMENTS:
            with contextlib.redirect_stdout(io.StringIO()) as out:
                options = ["-p", "no:cacheprovider", "--color", "no", "--rootdir", folder, *line.split()]
                code = runner.main(options, plugins=[Watching()])
            sys.modules.pop("conftest", None)
            sys.modules.pop("test_shop", None)
            said = _NOTED.sub("", f"{code}\n{out.getvalue()}".replace(folder, "HERE"))
            answers[line] = _LASTED.sub("T", said)
    return {"answers": answers, "plugins": installed}


PROGRAMS: dict[str, Callable[[Hosts], Any]] = {
    "datasette": datasette,
    "kedro": kedro,
    "llm": llm,
    "pytest": pytest,
    "tox": tox,
}
