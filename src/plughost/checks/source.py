"""Checks of the plugin's source text."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

from plughost.checks.findings import CheckProblem, check
from plughost.checks.subject import Subject, is_imported
from plughost.contracts.plugin import Plugin
from plughost.core.finding.module_files import file_of, folder_of

PRIVATE = ("plughost.core", "plughost.flows", "plughost.host", "plughost.cli", "plughost.hookspecs._markers")
"""Rooms of plughost that may be rebuilt from one release to the next."""

_OPENS = frozenset(
    {
        "create_task",
        "ensure_future",
        "Thread",
        "Popen",
        "Process",
        "ThreadPoolExecutor",
        "ProcessPoolExecutor",
    }
    | {"open", "connect", "create_engine", "create_async_engine", "AsyncClient", "ClientSession", "Timer"}
)
"""Calls that leave something behind which the host does not know of."""


@check("stop", "whatever start() opens is closed again", applies=is_imported)
def _stop(subject: Subject) -> Iterator[CheckProblem]:
    """What goes through the context is undone by the host; what does not needs a stop()."""
    given: Any = getattr(subject.handle.target, "start", None)
    try:
        start = ast.parse(dedent(inspect.getsource(given)))
    except (OSError, TypeError, SyntaxError):
        return  # there is none, or none in Python
    target = subject.handle.target
    owner = next((kind for kind in type(target).__mro__ if "stop" in vars(kind)), Plugin)
    has_own_stop = hasattr(target, "stop") if isinstance(target, ModuleType) else owner is not Plugin
    if has_own_stop or "on_stop" in _called(start):
        return
    blocks = [node for node in ast.walk(start) if isinstance(node, ast.With | ast.AsyncWith)]
    within = {name for block in blocks for item in block.items for name in _called(item.context_expr)}
    if opened := sorted((_called(start) & _OPENS) - within):
        yield CheckProblem(
            message=f"start() calls {', '.join(opened)}, but there is no stop() and no context.on_stop(...)",
            advice="end it in stop(), or use context.spawn / context.every, which the host ends",
            level="warning",
        )


@check(
    "public-doors",
    "it imports public modules of plughost only",
    applies=lambda subject: subject.is_imported and subject.candidate.finding.distribution != "plughost",
)
def _private_imports(subject: Subject) -> Iterator[CheckProblem]:
    for file, tree in sources_of(subject):
        for module in _imported_modules(tree):
            if any(module == private or module.startswith(f"{private}.") for private in PRIVATE):
                yield CheckProblem(
                    message=f"{file.name} imports {module}, which is not a public door",
                    advice="use plughost, plughost.contracts, plughost.hookspecs, plughost.http, "
                    "plughost.exceptions",
                    level="warning",
                )


def _called(tree: ast.AST) -> set[str]:
    """Last parts of the names of everything that is called."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            names.add(function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", ""))
    return names


def _imported_modules(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}


def sources_of(subject: Subject) -> Iterator[tuple[Path, ast.AST]]:
    """Yield the files of the plugin's package that can be parsed, each with its tree."""
    target = subject.handle.target
    module = target if isinstance(target, ModuleType) else inspect.getmodule(type(target))
    own = file_of(module)
    if module is None or own is None:
        return
    in_package = bool(folder_of(module)) or bool(module.__package__)
    for file in sorted(Path(own).parent.rglob("*.py")) if in_package else [Path(own)]:
        try:
            yield file, ast.parse(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, SyntaxError):
            continue


SOURCE_CHECKS = (_stop, _private_imports)
