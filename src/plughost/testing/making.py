"""Plugins made of source text in a test: installed for the interpreter, and gone again afterwards."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

from plughost._dataclasses import dataclass
from plughost.testing.distributions import MadeDistribution, make_distribution


@dataclass(frozen=True, slots=True, kw_only=True)
class MadePlugin:
    """A plugin that stands on the import path with real metadata.

    Attributes:
        name: Name of the plugin.
        module: Name of the package that holds its code.
        reference: What its entry point says.
        distribution: Its distribution.
    """

    name: str
    module: str
    reference: str
    distribution: MadeDistribution

    @property
    def folder(self) -> Path:
        """The folder on the import path."""
        return self.distribution.folder

    @property
    def file(self) -> Path:
        """The file with its code; write it again and reload the plugin to see a change."""
        return self.folder / self.module / "__init__.py"


class PluginMaker:
    """Makes plugins: ``make_plugin("greeter", source)``; see ``making_plugins``.

    Args:
        folder: Where distributions are written; it must stand on the import path.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self,
        name: str,
        source: str,
        *,
        attribute: str | None = None,
        reference: str | None = None,
        card: str | None = None,
        version: str = "1.0.0",
        distribution: str | None = None,
        group: str = "plughost.plugins",
        module: str | None = None,
        files: Mapping[str, str] | None = None,
    ) -> MadePlugin:
        """Install a plugin.

        Args:
            name: Name of the plugin: its entry point's.
            source: Its code; indentation that all lines share is taken off.
            attribute: What in the code is the plugin; empty for the module itself. None takes the last class
                that derives from ``Plugin``, or the module when there is none.
            reference: What the entry point says, when it shall be something else than module and attribute.
            card: Text of its ``plugin.toml``; None for no card.
            version: Version of its distribution.
            distribution: Name of its distribution; ``acme-NAME`` by default.
            group: The entry-point group.
            module: Name of its package; made of the plugin's name by default.
            files: More files of the distribution: path to text.
        """
        module = module or f"{name.replace('-', '_')}_plugin"
        if reference is None:
            if attribute is None:
                classes = [node for node in ast.parse(dedent(source)).body if isinstance(node, ast.ClassDef)]
                plugins = [node.name for node in classes if "Plugin" in map(_last_name, node.bases)]
                attribute = plugins[-1] if plugins else ""
            reference = f"{module}:{attribute}" if attribute else module
        texts = {f"{module}/__init__.py": source, **(files or {})}
        if card is not None:
            texts[f"{module}/plugin.toml"] = card
        made = make_distribution(
            self.folder,
            distribution or f"acme-{name}",
            version=version,
            modules=texts,
            entry_points={group: {name: reference}},
        )
        importlib.invalidate_caches()
        return MadePlugin(name=name, module=module, reference=reference, distribution=made)


@contextmanager
def making_plugins(folder: Path) -> Iterator[PluginMaker]:
    """Make plugins in ``folder`` as long as the block lasts.

    The folder stands first on the import path. At the end the path is as it was, and every module that was
    imported from the folder is forgotten, so that the next test may use the same names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(folder))
    try:
        yield PluginMaker(folder)
    finally:
        sys.path.remove(str(folder))
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if file is not None and Path(file).is_relative_to(folder):
                del sys.modules[name]
        importlib.invalidate_caches()


def _last_name(base: ast.expr) -> str:
    return base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")
