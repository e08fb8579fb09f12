"""A plugin's code is imported in its own process, by the same steps and with the same messages as in a host."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from functools import cache, reduce
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, cast

import pluggy

from plughost._dataclasses import dataclass
from plughost.contracts.error_text import error_line
from plughost.core.calls.declaration import Declaration
from plughost.core.calls.declared import HookSetup
from plughost.core.calls.verify import misfits, options_of
from plughost.core.config.marking import secrets_of
from plughost.core.config.schema import plugin_schema
from plughost.core.finding.discovery import PluginCandidate, Wish
from plughost.core.finding.sources import Finding
from plughost.core.loading.loader import import_plugin
from plughost.core.loading.shape import PluginHandle
from plughost.core.wire.crossings import HookCrossing, crossing_of_hook
from plughost.core.wire.frames import VERSION
from plughost.core.wire.protocol import GuestSpec, HookManifest, PluginManifest
from plughost.exceptions import NotCrossableError, PluginInvalidError


@dataclass(frozen=True, slots=True)
class HereImplementation:
    """One hook implementation of the plugin.

    Attributes:
        manifest: What the host is told of it.
        function: The implementation, bound.
        declaration: The hook as it is declared; None when this process does not know.
        crossing: How its arguments and its answer cross.
        blocking: Whether it wants a thread.
    """

    manifest: HookManifest
    function: Any
    declaration: Declaration | None
    crossing: HookCrossing
    blocking: bool

    @property
    def is_sync(self) -> bool:
        """Whether the hook is called without await."""
        return self.declaration is not None and self.declaration.options.sync


@dataclass(frozen=True, slots=True)
class HerePlugin:
    """The plugin, as it is in this process.

    Attributes:
        handle: The plugin itself.
        implementations: Its hook implementations; the place of each is its number.
    """

    handle: PluginHandle
    implementations: tuple[HereImplementation, ...]

    def manifest(self, confinement: tuple[str, ...]) -> PluginManifest:
        """Return what the host is told of it."""
        handle, kind = self.handle, self.handle.config_class
        return PluginManifest(
            wire=VERSION,
            plughost=own_version(),
            version=handle.version,
            requires=handle.requires,
            after=handle.after,
            host_api=handle.host_api,
            schema=None if kind is None else plugin_schema(handle.name, kind),
            secrets=secrets_of(kind),
            hooks=tuple(one.manifest for one in self.implementations),
            confinement=confinement,
        )


@cache
def own_version() -> str:
    """Return the version of plughost here; looked up once, before any process is forked."""
    return version("plughost")


def imported_plugin(spec: GuestSpec) -> HerePlugin:
    """Import the plugin, and check its hooks.

    Raises:
        PluginError: It cannot be imported, or is not a plugin, or its hooks do not fit; as in a host.
        NotCrossableError: One of its hooks cannot be called from another process.
    """
    finding = Finding(
        name=spec.name,
        reference=spec.reference,
        source=cast("Any", spec.source),
        origin=spec.origin,
        folder=Path(spec.folder) if spec.folder else None,
    )
    handle = import_plugin(PluginCandidate(name=spec.name, finding=finding, wish=Wish()))
    namespaces: list[Any] = []
    for reference in spec.hookspecs:
        module, _, attribute = reference.partition(":")
        path = attribute.split(".") if attribute else ()
        try:
            namespaces.append(reduce(getattr, path, importlib.import_module(module)))
        except (ImportError, AttributeError):
            pass  # as far as they are installed here: an environment of its own may lack some
        except Exception as error:  # such as one that a confined process may not read
            print(f"hooks of {reference} are not known here: {error_line(error)}", file=sys.stderr)
    setup = HookSetup(project=spec.project, families=(), hookspecs=tuple(namespaces))
    return HerePlugin(handle, tuple(_implementations(setup, handle)))


def _implementations(setup: HookSetup, handle: PluginHandle) -> Iterator[HereImplementation]:
    """Yield the implementations. That a hook is declared at all, and takes these arguments, the host looks after."""
    found: list[str] = []
    for hook, function, opts, declaration in setup.implementations(handle.target):
        if opts.get("wrapper") or opts.get("hookwrapper"):
            raise NotCrossableError(
                f"plugin {handle.name!r} wraps the hook {hook!r}, which it cannot do from a process of its own: "
                f"a wrapper stands around the implementations of others, in their process. Take isolation = "
                f'"process" out of [plugins.{handle.name}], or turn the wrapper into an implementation',
                plugin=handle.name,
                hook=hook,
            )
        options = options_of(handle.target, function)
        if declaration is not None:
            wrong = misfits(declaration, function, opts, options.blocking)
            found.extend(f"hook {hook!r}: {problem}" for problem in wrong)
        impl = pluggy.HookImpl(handle.target, handle.name, function, {**_NOT_MARKED, **opts})
        manifest = HookManifest(
            hook=hook,
            arguments=tuple(impl.argnames),
            keywords=tuple(one for one in impl.kwargnames if declaration and one in declaration.arguments),
            tryfirst=bool(impl.tryfirst),
            trylast=bool(impl.trylast),
            optionalhook=bool(impl.optionalhook),
            priority=options.priority,
            timeout=options.timeout,
            typed=declaration is not None,
            foreign=handle.is_foreign if declaration is None else declaration.foreign,
        )
        crossing = crossing_of_hook(handle.name, manifest, declaration)
        yield HereImplementation(manifest, function, declaration, crossing, options.blocking)
    if found:
        raise PluginInvalidError(
            f"plugin {handle.name!r} does not fit: {'; '.join(found)}", plugin=handle.name
        )


_NOT_MARKED: Final[pluggy.HookimplOpts] = {
    "wrapper": False,
    "hookwrapper": False,
    "optionalhook": False,
    "tryfirst": False,
    "trylast": False,
    "specname": None,
}
