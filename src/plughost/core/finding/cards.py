"""The plugin card: what a plugin says of itself in a file beside its module, read without importing it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from plughost.core.config.toml_text import parse_toml
from plughost.exceptions import PluginInvalidError, did_you_mean

CARD = "plugin.toml"


class PluginCard(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of a ``plugin.toml``. All keys are optional.

    Attributes:
        description: One line for lists.
        requires: Names of plugins that must be ready before this one starts.
        after: Names of plugins to start after, when they are there.
        host_api: Range of host API versions, such as ``>=1,<2``.
        hooks: Names of the hooks it implements.
        provides: Qualified names of the services it provides, such as ``acme.contracts.Lamp``: whoever asks for one
            while this plugin does not run is told so.
        commands: Names of the commands it adds to the command line; None when the card does not say, and the
            plugin must be imported to learn them.
        extras: Extra of its distribution -> import names that come with it; when one cannot be found the plugin
            is skipped with the ``pip install`` that brings it.
    """

    description: str = ""
    requires: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    host_api: str = ""
    hooks: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    commands: tuple[str, ...] | None = None
    extras: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=lambda: MappingProxyType({}))

    def missing_extras(self, path: Sequence[str] | None = None) -> list[str]:
        """Names of the extras of which some module cannot be found; finding imports nothing.

        Args:
            path: Folders to look in; None for wherever Python would find them.
        """
        return [
            extra
            for extra, modules in self.extras.items()
            if any(_find_top(module.partition(".")[0], path) is None for module in modules)
        ]


def find_card(reference: str, folder: Path | None = None) -> Path | None:
    """Return the card of the plugin whose entry point says ``reference``, or None when it carries none.

    Args:
        reference: ``package.module:attribute``; the card lies in the folder of the module, or of its package. Of a
            package that several distributions share, only the part counts in which the module itself lies.
        folder: Where to look for the package; by default wherever Python would find it.
    """
    module, _, _ = reference.partition(":")
    top, *inner = module.split(".")
    homes: list[str | Path] = []
    if folder is not None:
        homes = [folder / top if (folder / top).is_dir() else folder]
    elif (spec := _find_top(top)) is not None:
        own = [os.path.dirname(spec.origin)] if spec.origin else []  # noqa: PTH120  see below
        homes = [*(spec.submodule_search_locations or own)]
    home = homes[0] if len(homes) == 1 else next((one for one in homes if _holds(Path(one), inner)), None)
    if home is None:
        return None
    for depth in range(len(inner), -1, -1):
        # As texts: most plugins have no card, and to make a path takes longer than to look
        card = os.path.join(home, *inner[:depth], CARD)  # noqa: PTH118
        if os.path.isfile(card):  # noqa: PTH113
            return Path(card)
    return None


def read_card(plugin: str, path: Path) -> PluginCard:
    """Read and check a card.

    Raises:
        PluginInvalidError: It is not TOML, or a key is unknown or of the wrong type.
    """
    try:
        data = parse_toml(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise PluginInvalidError(
            f"the card {path.name} of plugin {plugin!r} cannot be read: {error}. Mend it, or remove "
            f"it: a card is optional",
            plugin=plugin,
        ) from error
    return PluginCard(**{key: _checked(plugin, path, key, value) for key, value in data.items()})


def _checked(plugin: str, path: Path, key: str, value: Any) -> Any:
    known = PluginCard.__struct_fields__
    if key not in known:
        raise PluginInvalidError(
            f"unknown key {key!r} in {path.name} of plugin {plugin!r}.{did_you_mean(key, known)} Known keys: "
            f"{', '.join(known)}",
            plugin=plugin,
        )
    if key in {"description", "host_api"} and isinstance(value, str):
        return value
    if key in {"requires", "after", "hooks", "provides", "commands"} and _is_list_of_text(value):
        return tuple(value)
    if key == "extras" and isinstance(value, dict) and all(map(_is_list_of_text, value.values())):
        return MappingProxyType({extra: tuple(modules) for extra, modules in value.items()})
    shape = {"extras": "a table of lists of import names"}.get(
        key, "a text" if key in {"description", "host_api"} else "a list of names"
    )
    raise PluginInvalidError(
        f"{key} in {path.name} of plugin {plugin!r} must be {shape}, not {value!r}", plugin=plugin
    )


def _is_list_of_text(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _holds(home: Path, inner: list[str]) -> bool:
    """Whether a part of a shared package has a module, which may be a package or compiled."""
    place = home.joinpath(*inner)
    return place.is_dir() or any(
        file.stem.partition(".")[0] == place.name for file in place.parent.glob(f"{place.name}.*")
    )


def _find_top(name: str, path: Sequence[str] | None = None) -> Any:
    try:
        return importlib.util.find_spec(name) if path is None else PathFinder.find_spec(name, path)
    except (ImportError, ValueError):
        return None
