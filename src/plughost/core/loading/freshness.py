"""Which code a reload must read again: all modules of the plugin, when a file of one of them changed."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from types import ModuleType

from msgspec.structs import replace

from plughost.core.finding.brought import brought_by
from plughost.core.finding.module_files import file_of
from plughost.core.finding.sources import Finding
from plughost.core.packages.digests import remove_compiled_file

_SHARED_ROOTS = frozenset({"plughost"})
"""Packages that many plugins live in; for them only the plugin's own part of it is its package."""


class CodeWatch:
    """Remembers, per plugin, what was in its source files when it was imported, and where they lay."""

    def __init__(self) -> None:
        self._imported: dict[str, dict[str, bytes]] = {}
        self._since: dict[str, int] = {}
        self._roots: dict[str, str] = {}
        self._folders: dict[str, Path] = {}
        self._foreign = frozenset(sys.modules)  # the application's own, which may lie beside a plugin's

    def remember(self, plugins: Mapping[str, Finding]) -> None:
        """Note what is now in the files of plugins."""
        self._roots |= {plugin: _root_of(_module_of(finding)) for plugin, finding in plugins.items()}
        loaded = _LoadedModules(self._foreign, self._roots.values())
        for plugin, finding in plugins.items():
            if finding.folder is not None:
                self._folders[plugin] = finding.folder
            self._imported[plugin] = _contents(finding, loaded)
            self._since[plugin] = time.time_ns()

    def is_stale(self, plugin: str, finding: Finding) -> bool:
        """Whether a file of the plugin changed since it was imported; what it imported later does not count."""
        before = self._imported.get(plugin)
        if before is None:
            return False
        loaded = self._loaded_for(plugin)
        now = _contents(finding, loaded)
        if any(now.get(name, content) != content for name, content in before.items()):
            return True
        others = {*now, *_others_of(finding, loaded)} - before.keys()
        return any(_saved_at(name) > self._since[plugin] for name in others)

    @contextmanager
    def reading_again(self, plugin: str, finding: Finding) -> Iterator[None]:
        """Let what is imported in the block be what is on the disk; when the block fails, nothing has changed.

        The running plugin keeps its old code, and its late imports find the old modules again after a failure.
        """
        before = self._folders.get(plugin, finding.folder)
        was_known = str(finding.folder) in sys.path
        forgotten = self._forget_if_stale(plugin, finding, before)
        shared = any(one == before for name, one in self._folders.items() if name != plugin)
        place = None  # where on the path the folder stood that the plugin has left, to put it back after a failure
        if before != finding.folder and not shared and str(before) in sys.path:
            place = sys.path.index(str(before))
            del sys.path[place]
        try:
            yield
        except BaseException:
            if forgotten:
                loaded = self._loaded_for(plugin)
                for name in {*_modules_of(finding, loaded), *_others_of(finding, loaded)}:
                    if file := file_of(sys.modules.pop(name)):
                        remove_compiled_file(Path(file))
                sys.modules.update(forgotten)
                for name, module in forgotten.items():  # `import a.b` finds b as an attribute of a
                    parent, _, own = name.rpartition(".")
                    if parent in sys.modules:
                        setattr(sys.modules[parent], own, module)
            if place is not None:
                sys.path.insert(place, str(before))
                if not was_known and str(finding.folder) in sys.path:
                    sys.path.remove(str(finding.folder))
            raise
        self.remember({plugin: finding})

    def _forget_if_stale(self, plugin: str, finding: Finding, folder: Path | None) -> dict[str, ModuleType]:
        """Forget the modules of a plugin, which lay in ``folder``, when they are not what is on the disk now."""
        moved = folder != finding.folder
        if plugin not in self._imported:
            return {}
        changed = moved or self.is_stale(plugin, finding)
        # No file of it is known when its import failed, when it is imported in a process of its own, or has none.
        if self._imported[plugin] and not changed:
            return {}
        loaded = self._loaded_for(plugin)
        names = _modules_of(finding, loaded) + _others_of(finding, loaded)
        if moved:
            names += _modules_of(replace(finding, folder=folder), loaded)
        forgotten = {
            name: sys.modules.pop(name)
            for name in dict.fromkeys(names)
            if changed or file_of(sys.modules[name])
        }
        # Compiled code goes: Python takes it for current by whole seconds and size, which two saves may share.
        # What is not imported now may have some too: a failed import leaves it, and so does another process.
        for source in {Path(file) for file in map(file_of, forgotten.values()) if file} | {
            *_sources_of(_module_of(finding), finding)
        }:
            remove_compiled_file(source)
        importlib.invalidate_caches()
        return forgotten

    def _loaded_for(self, plugin: str) -> _LoadedModules:
        others = (root for name, root in self._roots.items() if name != plugin)
        return _LoadedModules(self._foreign, others)


class _LoadedModules:
    """What is imported at this moment, looked through once for all plugins that ask.

    Args:
        foreign: Names of modules that belong to no plugin because of where they lie.
        claimed: Modules that belong to plugins by their names, with all in them.
    """

    def __init__(self, foreign: frozenset[str], claimed: Iterable[str]) -> None:
        self._foreign = foreign
        self._claimed = frozenset(claimed)
        self._names = sorted(sys.modules)
        self._crowded: dict[str, bool] = {}

    def within(self, root: str) -> list[str]:
        """Return the names of a module and of those in it, a package before what is in it."""
        names, inner = self._names, f"{root}."
        own = [root] if root in sys.modules else []
        # "/" is the character after "."
        return own + names[bisect_left(names, inner) : bisect_left(names, f"{root}/")]

    def lying_in(self, folder: str) -> list[str]:
        """Return the names of the modules under a folder that nobody claimed."""
        files, inner = self._files, folder.removesuffix(os.sep) + os.sep
        end = bisect_left(files, (inner.removesuffix(os.sep) + chr(ord(os.sep) + 1), ""))
        return [name for _, name in files[bisect_left(files, (inner, "")) : end]]

    def are_nobodys(self, names: Iterable[str]) -> list[str]:
        """Return those of these modules that are imported and that nobody claimed."""
        own = self._foreign
        return [
            name
            for name in names
            if name in sys.modules and name not in own and self._claimed.isdisjoint(_prefixes(name))
        ]

    def are_many_in(self, folder: str) -> bool:
        """Whether distributions are installed in a folder, whose modules lie there side by side."""
        if folder not in self._crowded:
            names = os.listdir(folder) if os.path.isdir(folder) else ()  # noqa: PTH112, PTH208  see _home_of
            self._crowded[folder] = any(name.endswith("-info") for name in names)
        return self._crowded[folder]

    @cached_property
    def _files(self) -> list[tuple[str, str]]:
        """Where the modules lie that may belong to a plugin because of it, and their names, in order."""
        found = []
        for name, module in list(sys.modules.items()):
            if name not in self._foreign and self._claimed.isdisjoint(_prefixes(name)):
                file = file_of(module)
                if isinstance(file, str):
                    found.append((os.path.realpath(file), name))
        return sorted(found)


def _contents(finding: Finding, loaded: _LoadedModules) -> dict[str, bytes]:
    """Return a digest of each source file; times and sizes do not tell two saves within one tick apart."""
    found: dict[str, bytes] = {}
    for name in _modules_of(finding, loaded):
        if file := file_of(sys.modules.get(name)):
            with suppress(OSError), open(file, "rb") as source:  # noqa: PTH123  for each module of each plugin
                found[name] = blake2b(source.read(), digest_size=16).digest()
    return found


def _modules_of(finding: Finding, loaded: _LoadedModules) -> list[str]:
    """Return the names of the modules that belong to a plugin, as far as they are imported.

    Those of its package, or of its part of a package that several distributions share; with them what lies in the
    plugin's folder, or beside a module that is a plugin by itself and was found in no distribution.
    """
    module = _module_of(finding)
    if not module:
        return []
    own, home = loaded.within(_root_of(module)), _home_of(module, finding, loaded)
    return own if home is None else [*dict.fromkeys([*own, *loaded.lying_in(home)])]


def _others_of(finding: Finding, loaded: _LoadedModules) -> list[str]:
    """Return the names of the modules that an installed plugin's distribution brings beside its package.

    What was in them at the start nobody looked at, which would cost every start: when they were saved tells.
    """
    if not finding.metadata or _root_of(_module_of(finding)).partition(".")[0] in _SHARED_ROOTS:
        return []
    brought = brought_by(Path(finding.metadata))
    if brought.project is None:
        names = loaded.are_nobodys(brought.modules)
    else:
        names = []
        for name in loaded.lying_in(str(brought.project)):
            file = Path(os.path.realpath(file_of(sys.modules[name]) or "")).relative_to(brought.project)
            if "site-packages" not in file.parts:  # those are installed in an environment within it
                names.append(name)
    own = {*loaded.within(_root_of(_module_of(finding)))}
    return [name for name in names if name not in own]


def _saved_at(name: str) -> int:
    """When the file of an imported module was saved, in nanoseconds; 0 when nobody can tell.

    Who copies a file may give it the time of the original, as installers do; that of its entry is the system's own.
    """
    file = file_of(sys.modules.get(name))
    try:
        status = Path(file).stat() if file is not None else None
    except OSError:
        status = None
    return 0 if status is None else max(status.st_mtime_ns, status.st_ctime_ns)


def _module_of(finding: Finding) -> str:
    return finding.reference.partition(":")[0].strip()


def _root_of(module: str) -> str:
    """Return the outermost package of a module that is no namespace of several distributions."""
    parts = module.split(".")
    for end in range(1, len(parts)):
        prefix = ".".join(parts[:end])
        if parts[0] not in _SHARED_ROOTS and file_of(sys.modules.get(prefix)):
            return prefix
    return module


def _home_of(module: str, finding: Finding, loaded: _LoadedModules) -> str | None:
    # As texts: to make paths takes longer than all else here
    if finding.folder is not None:
        return os.path.realpath(finding.folder)
    file = file_of(sys.modules.get(module))
    if (
        finding.distribution
        or not file
        or _root_of(module) != module
        or file.rpartition(os.sep)[2] == "__init__.py"
    ):
        return None
    home = on_path = os.path.dirname(os.path.realpath(file))  # noqa: PTH120
    for _ in range(module.count(".")):
        on_path = os.path.dirname(on_path)  # noqa: PTH120
    return None if loaded.are_many_in(on_path) else home


def _sources_of(module: str, finding: Finding) -> Iterator[Path]:
    """Yield the source files that a plugin may be imported from: its folder, its package, or those beside it."""
    root = _root_of(module)
    if finding.folder is not None:
        yield from _importable(finding.folder)
    elif root.partition(".")[0] not in _SHARED_ROOTS:
        try:
            spec = importlib.util.find_spec(root.partition(".")[0])
        except (ImportError, ValueError, AttributeError):
            return
        if spec is None:
            return
        for place in spec.submodule_search_locations or ():
            yield from _importable(Path(place))
        if spec.has_location and spec.origin and not spec.submodule_search_locations:
            file = Path(spec.origin)
            yield from [file] if finding.distribution else file.parent.glob("*.py")


def _importable(folder: Path) -> Iterator[Path]:
    """Yield the source files under a folder, but for folders that no import statement can name, as ``.venv``."""
    for place, inner, files in os.walk(folder):
        inner[:] = [name for name in inner if name.isidentifier() and name != "__pycache__"]
        yield from (Path(place, name) for name in files if name.endswith(".py"))


def _prefixes(name: str) -> Iterator[str]:
    """Yield the names of a module and of the packages around it."""
    while name:
        yield name
        name = name.rpartition(".")[0]
