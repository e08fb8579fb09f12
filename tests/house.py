"""How large the house is and how often it says the same thing: `python tests/house.py [REVISION ...]`.

For each revision of the repository (the files as they lie there, when none is given) a column with

- the lines of code of `src`, without blank lines, comments and docstrings, and the number of files;
- the public names: what the packages list in `__all__`, each name of a package once;
- functions, and in percent of them the private ones that are used once: the reader has to jump to read a paragraph.
  Both are counted: all of them, and those that their one use calls. What it hands over instead, as a callback, an
  endpoint, an action in a table or the body of a task, has to be a function, and a reader of the one use need not jump;
- functions longer than 35 lines, their docstring not counted;
- names that stand twice: classes and public functions at the top of two modules that lie in different rooms;
- pairs of places that share six or more lines of code, and how many of them lie in signatures: what a contract promises
  and an implementation takes is written in both.
"""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parent.parent
LONG = 35
SHARED = 6
type_of_function = (ast.FunctionDef, ast.AsyncFunctionDef)
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Module:
    """One file of `src/plughost`, read but not imported."""

    path: PurePosixPath
    tree: ast.Module
    code: tuple[tuple[int, str], ...]
    """Number and text of each line that is neither blank, comment nor docstring."""
    imports: frozenset[int]
    """Numbers of the lines of import statements."""
    signatures: frozenset[int]
    """Numbers of the lines from ``def`` to the colon."""

    @classmethod
    def read(cls, path: PurePosixPath, text: str) -> Module:
        tree = ast.parse(text)
        told = {line for docstring in _docstrings(tree) for line in _lines_of(docstring)}
        imports = (node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))
        lines = (
            (number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if number not in told
        )
        code = tuple((n, line) for n, line in lines if line and not line.startswith("#"))
        signatures = (node for node in ast.walk(tree) if isinstance(node, type_of_function))
        return cls(
            path,
            tree,
            code,
            frozenset(line for one in imports for line in _lines_of(one)),
            frozenset(line for one in signatures for line in range(one.lineno, one.body[0].lineno)),
        )

    @property
    def room(self) -> str:
        """The folder it lies in; a file beside others is part of their room."""
        return str(self.path.parent)


def modules_of(revision: str | None = None) -> list[Module]:
    """Every module of `src/plughost`, as it lies there or as `revision` has it; templates are not code."""
    if revision is None:
        found = ((path.relative_to(ROOT), path.read_text("utf-8")) for path in (ROOT / "src").rglob("*.py"))
    else:
        packed = subprocess.run(
            ["git", "-C", str(ROOT), "archive", revision, "src"], capture_output=True, check=True
        ).stdout
        found = _unpacked(packed)
    kept = ((PurePosixPath(path), text) for path, text in found if "template" not in path.parts)
    return [Module.read(path.relative_to("src"), text) for path, text in sorted(kept)]


def _unpacked(packed: bytes) -> Iterator[tuple[Path, str]]:
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for member in archive:
            if member.name.endswith(".py") and (file := archive.extractfile(member)) is not None:
                yield Path(member.name), file.read().decode()


def _docstrings(tree: ast.AST) -> Iterator[ast.Expr]:
    """Texts that stand for themselves: of modules, classes and functions, and under attributes."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            yield node


def _lines_of(node: ast.stmt) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def functions_of(module: Module) -> list[Function]:
    """All functions and methods of a module, those inside functions too."""
    return [node for node in ast.walk(module.tree) if isinstance(node, type_of_function)]


def length_of(function: Function) -> int:
    """Its lines from `def` to the end, without the docstring and decorators."""
    told = sum(len(_lines_of(one)) for one in _docstrings(function))
    return len(_lines_of(function)) - told


def used_once(module: Module) -> list[Function]:
    """The private functions of a module that one place of it mentions; a file's private names are its own."""
    mentioned = Counter[str]()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Name):
            mentioned[node.id] += 1
        elif isinstance(node, ast.Attribute):
            mentioned[node.attr] += 1
    private = (
        one for one in functions_of(module) if one.name.startswith("_") and not one.name.endswith("__")
    )
    return [one for one in private if mentioned[one.name] == 1 and not one.decorator_list]


def handed_over(module: Module) -> set[str]:
    """Names that a module mentions other than to call them."""
    called = {id(node.func) for node in ast.walk(module.tree) if isinstance(node, ast.Call)}
    names = (node for node in ast.walk(module.tree) if id(node) not in called)
    return {
        node.id if isinstance(node, ast.Name) else node.attr
        for node in names
        if isinstance(node, ast.Name | ast.Attribute)
    }


def too_long(modules: list[Module]) -> list[str]:
    """Each function that does not fit on a screen: where it begins, its name and its lines."""
    return [
        f"{module.path}:{one.lineno} {one.name}, {length_of(one)} lines"
        for module in modules
        for one in functions_of(module)
        if length_of(one) > LONG
    ]


def share_used_once(modules: list[Module]) -> float:
    """How many of a hundred functions are private and used once."""
    once = sum(len(used_once(module)) for module in modules)
    return 100 * once / sum(len(functions_of(module)) for module in modules)


def names_that_stand_twice(modules: list[Module]) -> dict[str, list[str]]:
    """Each class or public function at the top of a module that another room has too, with the modules that do."""
    places = defaultdict[str, list[Module]](list)
    for module in modules:
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef) or (isinstance(node, type_of_function) and node.name[0] != "_"):
                places[node.name].append(module)
    return {
        name: sorted(str(module.path) for module in there)
        for name, there in sorted(places.items())
        if len({module.room for module in there}) > 1
    }


def public_names(modules: list[Module]) -> set[tuple[str, str]]:
    """(package, name) of everything that a package lists in `__all__`."""
    found = set[tuple[str, str]]()
    for module in modules:
        for node in module.tree.body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                found |= {
                    (module.room, str(getattr(one, "value", ""))) for one in getattr(node.value, "elts", ())
                }
    return found


def repeated(modules: list[Module]) -> set[tuple[str, str]]:
    """Pairs of places, each `path:line`, where at least six lines of code are the same; imports do not count."""
    windows = defaultdict[tuple[str, ...], list[tuple[str, int]]](list)
    for module in modules:
        lines = [(n, line) for n, line in module.code if n not in module.imports]
        for at in range(len(lines) - SHARED + 1):
            window = tuple(line for _, line in lines[at : at + SHARED])
            if sum(len(line) > 8 for line in window) >= SHARED - 1:
                windows[window].append((str(module.path), at))
    pairs = {pair for there in windows.values() for pair in combinations(sorted(there), 2)}
    begins = {(a, b) for a, b in pairs if ((a[0], a[1] - 1), (b[0], b[1] - 1)) not in pairs}
    return {(f"{a[0]}:{a[1]}", f"{b[0]}:{b[1]}") for a, b in begins}


def in_signatures(modules: list[Module], pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of the repeated places of which the most lines on either side belong to signatures."""
    found = {str(module.path): module for module in modules}

    def is_one(place: str) -> bool:
        path, _, at = place.rpartition(":")
        module = found[path]
        lines = [n for n, _ in module.code if n not in module.imports][int(at) : int(at) + SHARED]
        return sum(n in module.signatures for n in lines) > SHARED / 2

    return {(a, b) for a, b in pairs if is_one(a) and is_one(b)}


def said_twice(modules: list[Module]) -> dict[tuple[str, str, str], tuple[str, str]]:
    """The repeated places that are no signatures: both paths and the first line, which change seldom -> the places."""
    by_path = {str(module.path): module for module in modules}
    pairs = repeated(modules)
    found: dict[tuple[str, str, str], tuple[str, str]] = {}
    for first, second in pairs - in_signatures(modules, pairs):
        path, _, at = first.rpartition(":")
        module = by_path[path]
        line = [text for n, text in module.code if n not in module.imports][int(at)]
        found[path, second.rpartition(":")[0], line] = (first, second)
    return found


def figures(modules: list[Module]) -> dict[str, float]:
    """The figures of one revision, named as the table prints them."""
    functions = [one for module in modules for one in functions_of(module)]
    once = [one for module in modules for one in used_once(module)]
    pairs = repeated(modules)
    given = sum(
        one.name in names
        for module in modules
        for names in [handed_over(module)]
        for one in used_once(module)
    )
    return {
        "lines of code": sum(len(module.code) for module in modules),
        "files": len(modules),
        "public names": len(public_names(modules)),
        "functions": len(functions),
        "private and used once, %": round(share_used_once(modules), 1),
        "private and called once, %": round(100 * (len(once) - given) / len(functions), 1),
        "handed over once": given,
        "private, used once, up to 5 lines": sum(length_of(one) <= 5 for one in once),
        f"functions above {LONG} lines": len(too_long(modules)),
        "names that stand twice": len(names_that_stand_twice(modules)),
        "pairs of repeated lines": len(pairs),
        "of these signatures": len(in_signatures(modules, pairs)),
    }


def main(revisions: list[str]) -> None:
    """Print the table, a column for each revision and one for the files as they lie there."""
    columns = {revision: figures(modules_of(revision)) for revision in revisions} | {
        "now": figures(modules_of())
    }
    print("| |", " | ".join(columns), "|")
    print("|---|", "---:|" * len(columns), sep="")
    for row in columns["now"]:
        print(f"| {row} |", " | ".join(f"{column[row]:,}" for column in columns.values()), "|")


if __name__ == "__main__":
    main(sys.argv[1:])
