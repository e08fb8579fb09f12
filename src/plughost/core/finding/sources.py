"""Where plugins may come from. Each source turns into findings: names and places, nothing imported."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from plughost.contracts.logs import get_logger
from plughost.core.config.paths import canonical
from plughost.core.config.toml_text import parse_toml
from plughost.core.finding.installed import Tell, bare_reference, entry_points
from plughost.core.finding.virtual_environment import VirtualEnvironment
from plughost.core.packages.package import Package

Source = Literal["entry point", "configuration", "directory", "package", "environment", "code"]

MANIFEST = "pyproject.toml"

_log = get_logger("plughost.loading")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that says it is a plugin.

    Attributes:
        name: The plugin's name.
        reference: ``module`` or ``module:attribute``; empty when the manifest is broken.
        source: Which kind of place it was found in.
        origin: The place itself, for people.
        distribution: The distribution it belongs to; empty when none.
        version: That distribution's version; empty when unknown.
        group: The group of entry points that it is in; empty when none.
        needs_no_hook: Whether it is a plugin though it implements no hook, as on bare pluggy.
        metadata: The folder of that distribution's metadata; empty when it was not found by them.
        folder: For a plugin directory or package: what must be on the path to import it.
        package: What its code must be checked against before every start; None when nothing is.
        environment: The virtual environment it is installed in; None when that is the host's own.
        problem: Why it cannot be used; empty when it can.
        passed_over: Why nobody looked whether it is a plugin at all; empty when somebody did.
    """

    name: str
    reference: str
    source: Source
    origin: str
    distribution: str = ""
    version: str = ""
    group: str = ""
    needs_no_hook: bool = False
    metadata: str = ""
    folder: Path | None = None
    package: Package | None = None
    environment: VirtualEnvironment | None = None
    problem: str = ""
    passed_over: str = ""


def from_entry_points(
    groups: Sequence[str], path: Iterable[str] | None = None, tell: Tell | None = None
) -> Iterator[Finding]:
    """Findings of installed distributions; ``tell`` hears of what was passed over, and the log by default."""
    for point in entry_points(
        groups,
        path,
        tell or (lambda sentence: _log.info("passed over while looking for plugins", reason=sentence)),
    ):
        yield Finding(
            name=point.name,
            reference=point.reference,
            source="entry point",
            origin=f"{point.group}: {point.name} = {point.reference}",
            distribution=point.distribution,
            version=point.version,
            group=point.group,
            metadata=point.metadata,
        )


def from_configuration(modules: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """Findings of ``[plugins.NAME] module = "..."``: pairs of name and reference."""
    for name, reference in modules:
        yield Finding(
            name=name,
            reference=reference,
            source="configuration",
            origin=f"[plugins.{name}] module = {reference!r}",
        )


def from_directory(directory: Path, groups: Sequence[str]) -> Iterator[Finding]:
    """Findings of a plugin directory.

    Each folder in it with a ``pyproject.toml`` holds one distribution's plugins, and a single file is a plugin
    when it looks like one (see ``from_file``). A folder without a manifest is nobody's business; one with a
    broken manifest becomes a finding that says so, and so does one that may not be read.
    """
    try:
        inside = sorted(directory.iterdir()) if directory.is_dir() else []
    except OSError as error:
        yield _passed_over(directory, error)
        return
    for place in inside:
        try:
            may_hold = (place / MANIFEST).is_file() or (place.suffix == ".py" and place.is_file())
        except OSError as error:
            yield _passed_over(place, error)
            continue
        if may_hold:
            yield from from_place(place, groups)


def from_file(file: Path) -> Iterator[Finding]:
    """Findings of one Python file: one when it looks like a plugin, else none; it is read and not run.

    It looks like a plugin when it has a class that derives from ``Plugin``, which is then the plugin, or a
    function ``start`` or one marked with ``hookimpl``: then the module is. Two classes of which neither derives from
    the other are a mistake: one would be left out without a word. The file's name is the plugin's. Programs
    call their markers ``impl`` or ``hook_impl`` as well, and the file itself may make one or give it another name.
    """
    blank = Finding(name=file.stem, reference="", source="directory", origin=str(file), folder=file.parent)
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        yield replace(
            blank, problem=f"it cannot be read as Python: {error}. Correct it, or move it elsewhere"
        )
        return
    classes = _plugin_classes(tree)
    markers = {*_markers(tree)}
    if not classes and not any(_is_part_of_a_plugin(node, markers) for node in tree.body):
        return
    if not file.stem.isidentifier():
        yield replace(blank, problem="its name is not one of a module: letters, digits and underscores only")
        return
    if len(classes) > 1:
        several = (
            f"it holds several plugins, {', '.join(classes)}, and a file is one: give each a file of its own"
        )
        yield replace(blank, problem=several)
        return
    yield replace(blank, reference=f"{file.stem}:{classes[0]}" if classes else file.stem)


_WHAT_A_PLUGIN_IS = "a class that derives from Plugin, a function named start, or one marked with @hookimpl"
HOLDS_NO_PLUGIN = f"it holds no plugin. Give it {_WHAT_A_PLUGIN_IS}"


def file_without_plugin(directory: Path, name: str) -> Finding | None:
    """Return what is told of the file with the name of a plugin that holds none; None when there is no such file.

    Such files may lie in a plugin directory for others to import, so they are told of only when somebody asks for them.
    """
    files = sorted(directory.glob("*.py"))
    file = next((one for one in files if canonical(one.stem) == canonical(name)), None)
    if file is None or any(True for _ in from_file(file)):
        return None
    return Finding(name=name, reference="", source="directory", origin=str(file), problem=HOLDS_NO_PLUGIN)


def _plugin_classes(tree: ast.Module) -> list[str]:
    """Return the classes of a file that derive from ``Plugin`` and that no other one of it derives from."""
    bases = {
        node.name: {_last_name(base) for base in node.bases}
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }
    plugins = {"Plugin"}
    for name, of in bases.items():
        if plugins & of:
            plugins.add(name)
    derived_from = {base for name, of in bases.items() for base in of - {name}}
    return [name for name in bases if name in plugins - derived_from]


def _markers(tree: ast.Module) -> Iterator[str]:
    """Yield the names under which a file has markers of implementations that it makes or imports."""
    makers = {"HookimplMarker"}
    for node in tree.body:
        match node:
            case ast.ImportFrom():
                renamed = {one.asname: one.name for one in node.names if one.asname}
                makers.update(name for name, was in renamed.items() if was in makers)
                yield from (name for name, was in renamed.items() if _is_marker(was))
            case ast.Assign(targets=[*names], value=ast.Call(func=made)) if _last_name(made) in makers:
                yield from map(_last_name, names)
            case ast.AnnAssign(target=name, value=ast.Call(func=made)) if _last_name(made) in makers:
                yield _last_name(name)


def _is_marker(name: str) -> bool:
    return name.lower().endswith("impl")


def _is_part_of_a_plugin(node: ast.stmt, markers: set[str]) -> bool:
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return False
    marks = [_last_name(mark.func if isinstance(mark, ast.Call) else mark) for mark in node.decorator_list]
    return node.name == "start" or any(mark in markers or _is_marker(mark) for mark in marks)


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def from_place(place: Path, groups: Sequence[str]) -> Iterator[Finding]:
    """Findings of what somebody works on: a plugin folder, or a single file."""
    yield from from_file(place) if place.suffix == ".py" and place.is_file() else from_folder(place, groups)


def from_folder(folder: Path, groups: Sequence[str]) -> Iterator[Finding]:
    """Findings of one plugin folder."""
    try:
        declared = list(_declared(folder, groups))
    except (OSError, ValueError, TypeError) as error:
        yield _broken(folder, f"its {MANIFEST} cannot be read: {error}")
        return
    if not declared:
        yield _broken(
            folder,
            f"its {MANIFEST} declares no plugin: add "
            f'[project.entry-points."{groups[0]}"] with NAME = "module:Class"',
        )
    yield from declared


def _declared(folder: Path, groups: Sequence[str]) -> Iterator[Finding]:
    project = _table(parse_toml((folder / MANIFEST).read_text(encoding="utf-8-sig")), "project")
    points = _table(project, "entry-points")
    for group in groups:
        for name, reference in _table(points, group).items():
            if not isinstance(reference, str):
                raise TypeError(
                    f"entry point {name!r} must be a text such as 'module:Class', not {reference!r}"
                )
            # A folder ``src`` may be something else beside a flat layout.
            top = bare_reference(reference).partition(":")[0].partition(".")[0]
            source = folder / "src"
            is_flat = (folder / top).is_dir() or (folder / f"{top}.py").is_file()
            in_source = (source / top).is_dir() or (source / f"{top}.py").is_file()
            yield Finding(
                name=name,
                reference=bare_reference(reference),
                source="directory",
                origin=str(folder),
                distribution=str(project.get("name", "")),
                version=str(project.get("version", "")),
                group=group,
                folder=source if in_source or (source.is_dir() and not is_flat) else folder,
            )


def _table(parent: dict[str, Any], key: str) -> dict[str, Any]:
    value = parent.get(key, {})
    if not isinstance(value, dict):
        raise TypeError(f"{key} must be a table, not {value!r}")
    return value


def _passed_over(place: Path, error: OSError) -> Finding:
    """A finding that says what may not be read; on a disk's own ``lost+found`` that is as it should be."""
    reason = f"is passed over: {place} cannot be read ({error.strerror or error})"
    return Finding(name=place.name, reference="", source="directory", origin=str(place), passed_over=reason)


def _broken(folder: Path, problem: str) -> Finding:
    return Finding(name=folder.name, reference="", source="directory", origin=str(folder), problem=problem)
