"""The check that holds a plugin's imports against the requirements of its distribution."""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from itertools import chain
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from plughost.checks.findings import CheckProblem, check
from plughost.checks.source import sources_of
from plughost.checks.subject import Subject
from plughost.core.finding.module_files import file_of

_ABSENCE = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})


@check(
    "requirements",
    "its distribution requires what it imports",
    applies=lambda subject: subject.is_imported and isinstance(subject.project.get("dependencies"), list),
)
def _undeclared(subject: Subject) -> Iterator[CheckProblem]:
    """A module that is there by chance, because something else brought it, is missing on another machine."""
    extras = subject.project.get("optional-dependencies", {})
    listed = [subject.project["dependencies"], *(extras.values() if isinstance(extras, Mapping) else ())]
    declared: set[str] = set()
    for text in chain.from_iterable(listed):
        with suppress(InvalidRequirement, TypeError):
            declared.add(canonicalize_name(Requirement(text).name))
    own = set(_own_modules(subject)) | sys.stdlib_module_names
    users: dict[str, str] = {}
    for file, tree in sources_of(subject):
        for module in _needed(tree):
            users.setdefault(module, file.name)
    for module in sorted(users.keys() - own):
        brought_by = {canonicalize_name(name) for name in _distributions().get(module, (module,))}
        if brought_by & declared:
            continue
        if module not in _distributions() and not all(map(_is_installed, declared)):
            continue  # what is not installed may bring a module of any name: nobody can tell who brings this one
        brought = min(brought_by)
        yield CheckProblem(
            message=f"{users[module]} imports {module}, which its requirements do not name: it is here by chance",
            advice=f'name its distribution where the others stand: dependencies = [..., "{brought}"]',
            level="warning",
        )


def _own_modules(subject: Subject) -> Iterator[str]:
    """Yield the top modules of its own distribution: all beside the one that was imported."""
    target = subject.handle.target
    module = inspect.getmodule(target) or inspect.getmodule(type(target))
    if module is None or (file := file_of(module)) is None:
        return
    yield module.__name__.partition(".")[0]
    own = canonicalize_name(subject.candidate.finding.distribution or "")
    if subject.candidate.finding.source != "directory":
        yield from (
            name for name, owners in _distributions().items() if own in map(canonicalize_name, owners)
        )
        return
    top = Path(file).parents[module.__name__.count(".") + (Path(file).name == "__init__.py")]
    yield from (path.stem for path in top.iterdir() if path.is_dir() or path.suffix == ".py")


def _needed(tree: ast.AST) -> Iterator[str]:
    """Yield the top modules that it cannot do without: not those for types, nor those whose absence it bears."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            yield from _needed(ast.Module(node.orelse, []))
        elif isinstance(node, ast.Try) and any(map(_bears_absence, node.handlers)):
            continue
        else:
            yield from _needed(node)


def _bears_absence(handler: ast.ExceptHandler) -> bool:
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(one is None or (isinstance(one, ast.Name) and one.id in _ABSENCE) for one in caught)


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


@cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


REQUIREMENT_CHECKS = (_undeclared,)
