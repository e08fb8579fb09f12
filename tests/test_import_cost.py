"""What an embedder waits for before the first line of the host runs, counted: classes and files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from plughost import contracts

_COUNT = """
import json, sys
from plughost import Host

own = [module for name, module in sys.modules.items() if name.partition(".")[0] == "plughost"]
things = {id(thing): thing for module in own for thing in vars(module).values()}
made = [
    thing for thing in things.values() if isinstance(thing, type) and "__dataclass_fields__" in vars(thing)
    and type(vars(thing).get("__init__")).__name__ != "_Unwritten"
]
named = [f"{each.__module__}.{each.__qualname__}" for each in made]
print(json.dumps({
    "dataclasses": sorted(name for name in named if name.startswith("plughost.")),
    "files": sorted(module.__name__ for module in own),
    "libraries": sorted({name.partition(".")[0] for name in sys.modules} - {"plughost"}),
}))
"""

DATACLASSES = 8
"""Each is written out as source and compiled when it is imported, which takes as long as to import a small file.

What only the host itself uses is a ``msgspec.Struct``; what only a fleet or a cache needs is imported by them; and
``plughost._dataclasses`` writes when somebody asks.
"""


@pytest.fixture(scope="module")
def imported() -> dict[str, Any]:
    """What an import of the host in a fresh interpreter brings."""
    ran = subprocess.run(
        [sys.executable, "-c", _COUNT], capture_output=True, text=True, check=True, timeout=60
    )
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def test_the_import_of_the_host_writes_few_dataclasses(imported: dict[str, Any]) -> None:
    assert 0 < len(imported["dataclasses"]) <= DATACLASSES, imported["dataclasses"]


@pytest.mark.parametrize(
    "file", ["cache", "disk_cache", "fleet", "fleet_store", "session_bytes", "session_store"]
)
def test_the_import_of_the_host_leaves_what_only_a_plugin_offers(imported: dict[str, Any], file: str) -> None:
    assert "plughost.contracts.records" in imported["files"]
    assert f"plughost.contracts.{file}" not in imported["files"]


@pytest.mark.parametrize("library", ["structlog", "rich", "click", "packaging", "tomlkit", "starlette"])
def test_the_import_of_the_host_leaves_the_libraries_that_not_every_host_uses(
    imported: dict[str, Any], library: str
) -> None:
    assert "msgspec" in imported["libraries"]
    assert library not in imported["libraries"]


def test_what_the_hook_of_commands_returns_is_known_once_somebody_asks() -> None:
    ask = "import plughost.hookspecs as h, typing; print(typing.get_type_hints(h.contributions.register_commands))"
    ran = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True, timeout=60)
    assert "click.core.Command" in ran.stdout


FILES = {path.stem for path in Path(contracts.__file__).parent.glob("[a-z]*.py")}


@pytest.mark.parametrize("name", sorted(FILES & {*contracts.__all__}))
def test_a_name_that_is_a_file_too_is_what_the_contracts_export(name: str) -> None:
    first = f"import plughost.contracts.{name}\nfrom plughost.contracts import {name}\nprint(type({name}).__name__)"
    ran = subprocess.run(
        [sys.executable, "-c", first], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout.strip() == "function"
    assert not isinstance(getattr(contracts, name), ModuleType)


def test_a_name_that_the_contracts_do_not_have_is_refused_as_by_any_module() -> None:
    with pytest.raises(AttributeError, match=r"'plughost\.contracts' has no attribute 'Lamp'"):
        contracts.Lamp  # type: ignore[attr-defined]  # noqa: B018
    assert {*contracts.__all__} <= {*dir(contracts)}
