"""Every package is a table of contents: what it exports is listed, sorted, there, and described."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path
from types import ModuleType

import pytest

import plughost

ROOT = Path(plughost.__file__).parent


def packages() -> list[str]:
    """Names of plughost and all packages in it."""
    found = pkgutil.walk_packages([str(ROOT)], "plughost.")
    return ["plughost", *(module.name for module in found if module.ispkg)]


def exports(module: ModuleType) -> list[str]:
    return list(getattr(module, "__all__", ()))


def by_kind(name: str) -> tuple[int, str]:
    """The order of ruff's RUF022: constants, classes, then the others."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


each_package = pytest.mark.parametrize("package", packages())


@each_package
def test_a_package_says_what_it_is(package: str) -> None:
    assert importlib.import_module(package).__doc__


@each_package
def test_a_package_lists_its_exports_in_order_and_each_once(package: str) -> None:
    names = exports(importlib.import_module(package))
    assert names == sorted(set(names), key=by_kind)


@each_package
def test_everything_a_package_exports_is_there(package: str) -> None:
    module = importlib.import_module(package)
    assert [name for name in exports(module) if not hasattr(module, name)] == []


@each_package
def test_everything_a_package_exports_is_described(package: str) -> None:
    module = importlib.import_module(package)
    assert [name for name in exports(module) if not is_described(module, name)] == []


@pytest.mark.parametrize("module", sorted(path.stem for path in (ROOT / "contracts").glob("[a-z]*.py")))
def test_contracts_exports_everything_public_of_its_modules(module: str) -> None:
    public = {name for name in definitions(f"plughost.contracts.{module}") if not name.startswith("_")}
    assert public <= set(plughost.contracts.__all__)


def is_described(module: ModuleType, name: str) -> bool:
    """Whether a class or function has a docstring, or an assignment is followed by one."""
    value = getattr(module, name)
    if inspect.isclass(value) or inspect.isroutine(value):
        return bool(value.__doc__)
    return any(definitions(source).get(name, False) for source in sources(module, name))


def sources(module: ModuleType, name: str) -> list[str]:
    """Names of the modules in which the name may be assigned: the one it is imported from, or this one."""
    imported = [
        node.module
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.ImportFrom) and node.module and name in {alias.name for alias in node.names}
    ]
    return imported or [module.__name__]


def definitions(module: str) -> dict[str, bool]:
    """What a module defines at its top, type variables left out, and whether a docstring stands at it."""
    body = ast.parse(inspect.getsource(importlib.import_module(module))).body
    found: dict[str, bool] = {}
    for node, following in zip(body, [*body[1:], ast.Pass()], strict=True):
        described = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        for name in _assigned(node):
            found[name] = described
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found[node.name] = ast.get_docstring(node) is not None
    return found


def _assigned(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    if not isinstance(node, ast.Assign) or _makes_type_variable(node.value):
        return []
    return [target.id for target in node.targets if isinstance(target, ast.Name)]


def _makes_type_variable(value: ast.expr) -> bool:
    made_by = value.func if isinstance(value, ast.Call) else None
    return isinstance(made_by, ast.Name) and made_by.id in {"TypeVar", "ParamSpec"}
