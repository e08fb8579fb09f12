"""The documentation is complete, builds without a warning, and its examples run."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from types import ModuleType, UnionType
from typing import Any, get_args, get_type_hints

import pluggy
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import docs_blocks
from documented_hooks import DOCS, HOOKS
from plughost.hookspecs import CATALOGUE, PROJECT

ROOT = Path(__file__).parent.parent
PAGES = sorted(path for path in [*DOCS.rglob("*.md"), ROOT / "README.md"] if "_build" not in path.parts)
PAGES_WITH_PYTHON = [
    page for page in PAGES if any(block.runs for block in docs_blocks.blocks(page.read_text("utf-8")))
]
STANDARD = {"plughost", "pytest"} | {
    canonicalize_name(requirement.name)
    for requirement in map(Requirement, requires("plughost") or ())
    if requirement.marker is None
    or any(
        requirement.marker.evaluate({"extra": extra})
        for extra in ("cache", "redis", "sessions", "database", "http")
    )
}
"""What whoever reads a page has: `plughost[standard]`, and pytest where there is something to test."""

SPECS = {name: getattr(family, name) for family in CATALOGUE for name in HOOKS if hasattr(family, name)}

each_hook = pytest.mark.parametrize("name", HOOKS)


@each_hook
def test_a_hook_is_described_by_all_parts_of_its_page(name: str) -> None:
    page = HOOKS[name]
    assert page.summary.endswith(".")
    assert page.description.startswith("Called ")
    expected = {"Args", "Returns", "Refusing", "Failure", "Example"}
    if not page.signature.parameters:
        expected.discard("Args")
    if page.options.mode == "broadcast":
        expected.discard("Returns")
    assert set(page.sections) == expected
    assert all(page.sections.values())


@each_hook
def test_every_argument_of_a_hook_is_described_and_no_other(name: str) -> None:
    page = HOOKS[name]
    described = re.findall(r"^(\w+): ", page.sections.get("Args", ""), re.MULTILINE)
    assert described == list(page.signature.parameters)


@each_hook
def test_the_example_of_a_hook_implements_it(name: str) -> None:
    page = HOOKS[name]
    functions = {
        node.name
        for node in ast.parse(page.example).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert name in functions


@each_hook
def test_the_example_of_a_hook_registers_against_its_declaration(name: str) -> None:
    manager = pluggy.PluginManager(PROJECT)
    for family in CATALOGUE:
        manager.add_hookspecs(family)
    plugin = ModuleType("example")
    exec(compile(HOOKS[name].example, f"<example of {name}>", "exec", dont_inherit=True), vars(plugin))  # noqa: S102
    manager.register(plugin)
    manager.check_pending()
    assert [caller.name for caller in manager.get_hookcallers(plugin) or ()] == [name]


@each_hook
def test_the_example_of_a_hook_has_the_types_of_its_declaration(name: str) -> None:
    example = ModuleType("example")
    exec(compile(HOOKS[name].example, f"<example of {name}>", "exec", dont_inherit=True), vars(example))  # noqa: S102
    written, declared = get_type_hints(vars(example)[name]), get_type_hints(SPECS[name])
    result, promised = written.pop("return"), declared["return"]
    assert written == {argument: declared[argument] for argument in written}
    assert promised == Any | None or alternatives(result) <= alternatives(promised)


def alternatives(annotation: Any) -> set[Any]:
    """The types of a union, or the one type."""
    return {*get_args(annotation)} if isinstance(annotation, UnionType) else {annotation}


@each_hook
def test_a_test_names_the_hook(name: str) -> None:
    here = {"test_catalogue.py", "test_docs.py"}  # the tables of names prove nothing
    texts = (path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py") if path.name not in here)
    assert any(re.search(rf"(\b|\btest_){name}(\b|__)", text) for text in texts)


def test_every_family_has_a_page_in_the_reference() -> None:
    families = {page.family for page in HOOKS.values()}
    assert {path.stem for path in (DOCS / "reference" / "hooks").glob("*.md")} == families
    for family in families:
        text = (DOCS / "reference" / "hooks" / f"{family}.md").read_text("utf-8")
        assert f"{{hook-family}} {family}\n" in text


def test_the_examples_of_all_hooks_have_right_types(tmp_path: Path) -> None:
    for name, page in HOOKS.items():
        (tmp_path / f"example_of_{name}.py").write_text(page.example, "utf-8")
    cache = ROOT / ".mypy_cache" / "examples"
    run = _run("-m", "mypy", "--strict", "--config-file=", f"--cache-dir={cache}", ".", folder=tmp_path)
    assert run.returncode == 0, run.stdout


@pytest.mark.timeout(320)  # a minute and a half of a machine that does nothing else
def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    target = tmp_path / "html"
    run = _run(
        "-m", "sphinx", "-W", "--keep-going", "-q", "-d", str(tmp_path / "doctrees"), str(DOCS), str(target)
    )
    assert run.returncode == 0, run.stderr
    assert set(re.findall(r'id="hook-([\w-]+)"', _all_html(target))) == {n.replace("_", "-") for n in HOOKS}


@pytest.mark.parametrize("page", PAGES_WITH_PYTHON, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    alone = ["--alone"] if page.name.startswith("move-from-") else []  # read by who looks for a single answer
    for made in re.findall(r"^\$ plughost (new [\w-]+ --yes)$", page.read_text("utf-8"), re.MULTILINE):
        assert _run("-m", "plughost", *made.split(), folder=tmp_path).returncode == 0
    runner = str(ROOT / "tests" / "docs_blocks.py")
    run = _run("-W", "error", runner, str(page), *alone, folder=tmp_path)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("framework", ["celery", "django", "fastapi", "flask", "litestar"])
def test_the_page_of_a_framework_shows_a_hook_of_ones_own_a_cache_and_sessions(framework: str) -> None:
    page = (DOCS / "how-to" / f"embed-{framework}.md").read_text("utf-8")
    assert all(word in page for word in ("@hookspec", "CacheManager", ".discounts(user=user)"))
    assert "session_of(request)" in page or "use(SessionManager)" in page


@pytest.mark.parametrize("page", PAGES_WITH_PYTHON, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_says_what_else_has_to_be_installed(page: Path) -> None:
    text = page.read_text("utf-8")
    code = [block for block in docs_blocks.blocks(text) if block.runs or block.caption.endswith(".py")]
    here = {Path(block.caption).stem for block in code} | {Path(block.caption).parent.name for block in code}
    imported = {name for block in code for name in _imports(block.code)} - here - sys.stdlib_module_names
    brought = packages_distributions()
    needed = {canonicalize_name(brought[name][0]) for name in imported & brought.keys()}
    said = " ".join(re.findall(r"pip install (.*)", text))
    assert not [name for name in needed - STANDARD if not re.search(rf"\b{name}\b", said)]


def _imports(code: str) -> set[str]:
    """Names of the packages that are imported; a test client needs an HTTP client, which it does not require."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    clients = {"httpx2"} if names & {"starlette.testclient", "fastapi.testclient"} else set()
    return {name.partition(".")[0] for name in names} | clients


def test_there_are_pages_with_python_in_each_room() -> None:
    rooms = {page.relative_to(DOCS).parts[0] for page in PAGES_WITH_PYTHON if page.is_relative_to(DOCS)}
    assert {"tutorial", "how-to"} <= rooms


def _all_html(target: Path) -> str:
    return "".join(path.read_text("utf-8") for path in (target / "reference" / "hooks").glob("*.html"))


def _run(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": "", "XDG_DATA_HOME": str(folder)}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
