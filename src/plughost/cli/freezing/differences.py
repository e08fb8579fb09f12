"""What an environment lacks that a snapshot has, and what would bring it back."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator
from typing import Literal

from packaging.utils import canonicalize_name

from plughost._dataclasses import dataclass
from plughost.cli.freezing.snapshot import FrozenHost, FrozenPlugin

Kind = Literal["install", "switch", "by hand"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as it was.

    Attributes:
        plugin: Name of the plugin.
        kind: ``install`` when pip brings it back, ``switch`` when the configuration does, else ``by hand``.
        message: What is different.
        requirement: What pip is to install; empty when pip cannot help.
        enabled: For a ``switch``: how it was.
    """

    plugin: str
    kind: Kind
    message: str
    requirement: str = ""
    enabled: bool = True


def differences(then: FrozenHost, now: FrozenHost) -> list[Difference]:
    """Return what must change for the plugins to be as they were; plugins that came since are not looked at."""
    present = {plugin.name: plugin for plugin in now.plugins}
    return [one for plugin in then.plugins for one in _of(plugin, present.get(plugin.name))]


def _of(then: FrozenPlugin, now: FrozenPlugin | None) -> Iterator[Difference]:
    if now is None or not _is_same(then, now):
        what = "is gone" if now is None else _change(then, now)
        if then.distribution and not then.editable:
            pinned = f"{then.distribution}=={then.version}" if then.version else then.distribution
            yield Difference(plugin=then.name, kind="install", message=what, requirement=pinned)
        else:
            place = then.url or then.path or f"the folder of {then.distribution}"
            yield Difference(plugin=then.name, kind="by hand", message=f"{what}; it came from {place}")
    if now is not None and then.enabled != now.enabled:
        word = "enabled" if then.enabled else "disabled"
        yield Difference(plugin=then.name, kind="switch", message=f"was {word}", enabled=then.enabled)


def _is_same(then: FrozenPlugin, now: FrozenPlugin) -> bool:
    if then.editable or now.editable:
        return then.distribution == now.distribution
    return (then.distribution, then.version, then.sha256) == (now.distribution, now.version, now.sha256)


def _change(then: FrozenPlugin, now: FrozenPlugin) -> str:
    if then.version != now.version:
        return f"was {then.version or 'of no version'}, is {now.version or 'of no version'}"
    if then.distribution != now.distribution:
        return f"was of {then.distribution or then.path}, is of {now.distribution or now.path}"
    return "has other files than it had, with the same version"


def pip_command(found: Iterable[Difference]) -> list[str]:
    """Return the arguments of pip that bring distributions back; empty when none is to be."""
    wanted: list[str] = []
    replaced = False
    for one in found:
        if one.kind == "install":
            wanted.append(one.requirement)
            replaced |= _is_installed(one.requirement)
    options = ["--force-reinstall", "--no-deps"] if replaced else []
    return ["install", *options, *dict.fromkeys(wanted)] if wanted else []


def _is_installed(requirement: str) -> bool:
    name, _, version = requirement.partition("==")
    try:
        found = importlib.metadata.distribution(canonicalize_name(name))
    except importlib.metadata.PackageNotFoundError:
        return False
    return found.version == version
