"""What an environment lacks that a snapshot has, and what would bring it back."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable
from contextlib import suppress
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
    found: list[Difference] = []
    for was in then.plugins:
        here = present.get(was.name)
        if here is None or not _is_same(was, here):
            what = "is gone" if here is None else _change(was, here)
            if was.distribution and not was.editable:
                pinned = f"{was.distribution}=={was.version}" if was.version else was.distribution
                found.append(Difference(plugin=was.name, kind="install", message=what, requirement=pinned))
            else:
                place = was.url or was.path or f"the folder of {was.distribution}"
                message = f"{what}; it came from {place}"
                found.append(Difference(plugin=was.name, kind="by hand", message=message))
        if here is not None and was.enabled != here.enabled:
            message = "was enabled" if was.enabled else "was disabled"
            found.append(Difference(plugin=was.name, kind="switch", message=message, enabled=was.enabled))
    return found


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
            name, _, version = one.requirement.partition("==")
            with suppress(importlib.metadata.PackageNotFoundError):
                replaced |= importlib.metadata.version(canonicalize_name(name)) == version
    options = ["--force-reinstall", "--no-deps"] if replaced else []
    return ["install", *options, *dict.fromkeys(wanted)] if wanted else []
