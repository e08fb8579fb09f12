"""The house has floors, its rooms stand in no circle, and looking in from the door changes nothing outside."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parent.parent
OPTIONAL = {
    *("alembic", "cachetools", "cryptography", "jinja2", "prometheus_client", "psycopg", "redis"),
    *("sqlalchemy", "starlette", "trio", "uvicorn"),
}


def run(code: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_a_file_imports_only_from_floors_below_its_own() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=110)
    assert ran.returncode == 0, ran.stdout[ran.stdout.find("Broken contracts") :] + ran.stderr


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """All imports: at the top of a file, inside functions and for type checkers."""
    return grimp.build_graph("plughost", cache_dir=None)


def test_no_modules_import_each_other_in_a_circle(graph: grimp.ImportGraph) -> None:
    imports = {
        module: set(graph.find_modules_directly_imported_by(module)) - _packages_of(module)
        for module in graph.modules
    }
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def _packages_of(module: str) -> set[str]:
    """The packages a module lies in: Python imports them first in any case."""
    return set(_parents(module))


def _parents(module: str) -> Iterator[str]:
    while "." in module:
        module = module.rpartition(".")[0]
        yield module


def test_nothing_inside_imports_the_front_door(graph: grimp.ImportGraph) -> None:
    inside = graph.find_modules_that_directly_import("plughost")
    assert {module for module in inside if not module.startswith("plughost.plugins.")} <= {"plughost.testing"}


IMPORTS = r"\bfrom plughost[.\w]* import|\bimport plughost[.\w]*|app_host"
PUBLIC = {"contracts", "hookspecs", "http", "blocking", "adapters", "testing"}


def test_what_is_measured_is_reached_by_the_doors_that_users_have() -> None:
    """Imports, also those in code that a benchmark hands to another process; the tests' own parts reach deeper."""
    scripts = sorted((ROOT / "benchmarks").glob("*.py"))
    assert len(scripts) > 15
    wrong = [
        f"{script.name}: {found[0]}"
        for script in scripts
        for found in re.finditer(
            r"\bfrom plughost[.\w]* import|\bimport plughost[.\w]*|app_host", script.read_text("utf-8")
        )
        if found[0] == "app_host" or not _is_public(found[0].removesuffix(" import").split()[-1])
    ]
    assert wrong == []


def _is_public(module: str) -> bool:
    package, *inner = module.split(".")
    # An example such as plughost_media is a distribution of its own: it has its own doors.
    # What the command itself imports.
    return package != "plughost" or not inner or inner[0] in PUBLIC or inner == ["cli"]


def test_importing_plughost_brings_no_optional_package() -> None:
    found = json.loads(
        run("from plughost import *; import sys, json; print(json.dumps(sorted(sys.modules)))")
    )
    assert {name.partition(".")[0] for name in found} & OPTIONAL == set()


SELDOM = {
    "difflib",
    "email.message",
    "graphlib",
    "gzip",
    "http.client",
    "tarfile",
    "tomllib",
    "urllib.request",
    "zipfile",
}
"""What only some hosts need: archives, packages by path or url, a configuration file, a name that was misspelled."""


def test_importing_a_host_brings_nothing_that_most_hosts_never_use() -> None:
    found = json.loads(
        run("from plughost import Host; import sys, json; print(json.dumps(sorted(sys.modules)))")
    )
    alone = json.loads(
        run("import anyio, click, msgspec, structlog, sys, json; print(json.dumps([*sys.modules]))")
    )
    assert {*found} & SELDOM - {*alone} == set()


def test_showing_help_imports_no_plugin_and_no_command() -> None:
    code = (
        "import sys, json\n"
        "from plughost.cli.entry import run_program\n"
        "assert run_program(['--help']) == 0\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    found = json.loads(run(code).splitlines()[-1])
    assert {name.partition(".")[0] for name in found} & OPTIONAL == set()
    assert [name for name in found if name.startswith("plughost.plugins.")] == []
    assert [name for name in found if name.startswith("plughost.cli.commands.")] == []


STATE = """
import asyncio, gc, json, locale, logging, os, signal, socket, sys, threading, warnings
import anyio, click, cronsim, importlib_metadata, msgspec, packaging.specifiers, pluggy, structlog, tomlkit

def state():
    root = logging.getLogger()
    return {
        "root logger": (root.level, [repr(one) for one in root.handlers], [repr(one) for one in root.filters]),
        "logging": (logging.getLoggerClass().__name__, logging.root.manager.disable, repr(logging.lastResort)),
        "other loggers": sorted(n for n in logging.root.manager.loggerDict if n.partition(".")[0] != "plughost"),
        "structlog": structlog.is_configured(),
        "signals": {one.name: repr(signal.getsignal(one)) for one in signal.valid_signals() if hasattr(one, "name")},
        "locale": locale.setlocale(locale.LC_ALL),
        "hooks": [repr(one) for one in (sys.excepthook, threading.excepthook, sys.unraisablehook)],
        "warnings": [repr(one) for one in warnings.filters],
        "environment": dict(os.environ),
        "paths": (sys.path[:], [repr(one) for one in sys.meta_path], [repr(one) for one in sys.path_hooks]),
        "loop policy": repr(type(asyncio.get_event_loop_policy())),
        "threads": threading.active_count(),
        "files": sorted(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else [],
        "socket": socket.getdefaulttimeout(),
        "collector": (gc.isenabled(), gc.get_threshold()),
        "recursion": sys.getrecursionlimit(),
        "streams": [repr(one) for one in (sys.stdin, sys.stdout, sys.stderr)],
    }

before = state()
from plughost import *
import plughost.blocking, plughost.contracts, plughost.exceptions, plughost.hookspecs
after = state()
print(json.dumps({key: [before[key], after[key]] for key in before if before[key] != after[key]}))
"""


def test_importing_plughost_changes_no_state_of_the_process() -> None:
    assert json.loads(run(STATE)) == {}


def test_the_library_says_nothing_unless_asked() -> None:
    code = (
        "import anyio\n"
        "from plughost import Host, Plugin\n"
        "class Bad(Plugin):\n"
        "    async def start(self, context):\n"
        "        context.log.warning('a warning'); raise RuntimeError('no')\n"
        "async def main():\n"
        "    async with Host(config={}, environ={'PLUGHOST_LOAD_PLUGINS': ''}) as host:\n"
        "        try: await host.load_plugin(Bad)\n"
        "        except Exception: pass\n"
        "anyio.run(main)"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
