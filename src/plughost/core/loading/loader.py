"""A candidate becomes a loaded plugin: imported in the one serial lane, its shape and configuration checked."""

from __future__ import annotations

import importlib
import re
import reprlib
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Protocol

import anyio
import msgspec

from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.contracts.error_text import error_line, error_text
from plughost.contracts.processes import ProcessRecord
from plughost.core.config import LoadedConfig
from plughost.core.containment import Point, contained
from plughost.core.finding.discovery import PluginCandidate, check_host_api
from plughost.core.finding.module_files import file_of
from plughost.core.importing import Importer
from plughost.core.loading.neighbours import refuse_clashes
from plughost.core.loading.ordering import Needs
from plughost.core.loading.shape import PluginHandle
from plughost.core.loading.window import Window
from plughost.core.stepping import LimitPassedError
from plughost.core.time_limit import call_within
from plughost.exceptions import (
    PlughostError,
    PluginConfigError,
    PluginError,
    PluginImportError,
    PluginProcessError,
    PluginSourceError,
    PluginTimeoutError,
    StrayError,
    did_you_mean,
)

_ONLY_IN_MAIN: Final = r"main thread|current event loop in thread|running event loop"
"""What ``signal.signal`` and ``asyncio.get_event_loop`` say in a worker thread."""


class OwnProcess(Protocol):
    """The process of a plugin that does not run inside the host."""

    @property
    def record(self) -> ProcessRecord:
        """What is told of it now."""

    async def crash(self) -> PluginError | None:
        """Wait for its end; return why it ended, or None when that was asked for."""

    def mourn(self, *, patient: bool) -> None:
        """It crashed, and another one will take its place; ``patient`` calls wait for that one."""

    def disinherit(self, error: PluginError) -> None:
        """No other one takes its place, or not now."""

    async def end(self) -> None:
        """End it, if it has not ended."""


class ImportedPlugin(msgspec.Struct, frozen=True):
    """A plugin whose code is here, or in a process of its own.

    Attributes:
        candidate: What it was.
        handle: What it is.
        took: Seconds its import took, waiting for others not included.
        process: Its own process; None when it runs inside the host.
    """

    candidate: PluginCandidate
    handle: PluginHandle
    took: float = 0.0
    process: OwnProcess | None = None

    @property
    def needs(self) -> Needs:
        """Whom it waits for: what its card says and what its code says."""
        return Needs.said(
            (*self.candidate.card.requires, *self.handle.requires),
            (*self.candidate.card.after, *self.handle.after),
        )

    def decode_config(self, loaded: LoadedConfig) -> Any:
        """Return its configuration as an instance of its ``Config``; raises ``PluginConfigError``."""
        given = self.candidate.wish.config
        return loaded.decode_plugin(self.candidate.name, self.handle.config_class, given)


House = Callable[[PluginCandidate, float], Awaitable[ImportedPlugin]]
"""Imports a candidate in a process of its own, within a limit."""


class ImportLane:
    """Imports plugins one at a time, in a thread that can be left behind, or in the one that waits (``importing``).

    Parallel imports can dead-lock on the interpreter's import locks; a large host that tried went back to one
    at a time. An import that passes its limit cannot be stopped: its thread is abandoned, the lane goes on.

    Args:
        clock: Time.
        house: Has a plugin imported in a process of its own; None where no such process is begun.
    """

    def __init__(self, clock: Clock, house: House | None = None) -> None:
        self._clock = clock
        self._house = house
        self._lane = Window(1)
        self._importer = Importer()

    def close(self) -> None:
        """Let its thread end; what is imported later starts another."""
        self._importer.close()

    async def load(self, candidate: PluginCandidate, limit: float) -> ImportedPlugin:
        """Import what the candidate's reference names and, when it is a class or factory, call it.

        Raises:
            PluginImportError: It cannot be imported, or lacks the attribute.
            PluginInvalidError: It is not a plugin.
            PluginProcessError: It shall run in a process of its own, which it cannot have here.
            PluginSourceError: The package it comes from is not what was pinned.
            PluginTimeoutError: The import took longer than ``limit`` seconds.
        """
        if candidate.wish.isolation == "process":
            if self._house is None:
                raise PluginProcessError(
                    f"plugin {candidate.name!r} runs in a process of its own, so its code is not imported here. "
                    f"Ask a running host for it, or take it inside for once: PLUGHOST_IN_PROCESS={candidate.name}",
                    plugin=candidate.name,
                    phase="import",
                )
            return await self._house(candidate, limit)
        async with self._lane.place():
            began = self._clock.monotonic()
            with anyio.move_on_after(limit):
                handle = await self._import(candidate)
                return ImportedPlugin(candidate, handle, self._clock.monotonic() - began)
        raise PluginTimeoutError(
            f"import of {candidate.finding.reference} for plugin {candidate.name!r} took longer than its limit of "
            f"{limit:g} s and was left behind. Move work out of the module's top level, or raise host.load_timeout",
            plugin=candidate.name,
            phase="import",
            limit=limit,
        )

    async def _import(self, candidate: PluginCandidate) -> PluginHandle:
        try:
            return await self._importer.run(import_plugin, candidate)
        except PlughostError:
            raise
        except Exception as error:  # its files were looked at, and are not what files are
            raise PluginImportError(
                f"looking for the code of plugin {candidate.name!r} at {candidate.finding.reference} raised "
                f"{error_line(error)}",
                plugin=candidate.name,
            ) from error


async def checked_config(plugin: ImportedPlugin, loaded: LoadedConfig, limit: float) -> Any:
    """Check host API and the host's configuration of a plugin; returns it, decoded.

    Raises:
        PluginIncompatibleError: It does not work with this host.
        PluginConfigError: Its configuration does not fit, or its own ``check_config`` refused it.
        PluginTimeoutError: ``check_config`` took longer than ``limit`` seconds.
    """
    check_host_api(plugin.handle.name, plugin.handle.host_api)
    config = plugin.decode_config(loaded)
    if plugin.handle.checks_config:
        await run_check_config(plugin.handle, config, limit)
    return config


async def run_check_config(handle: PluginHandle, config: object, limit: float) -> None:
    """Run the plugin's own check of its configuration.

    Raises:
        PluginConfigError: It refused it.
        PluginTimeoutError: It took longer than ``limit`` seconds.
    """
    try:
        await call_within(limit, partial(handle.check_config, config), SYSTEM_CLOCK, Point.CHECK_CONFIG)
    except PluginConfigError:
        raise
    except PluginProcessError as error:  # its process went meanwhile, which says nothing of the configuration
        error.phase = "validation"
        raise
    except LimitPassedError:
        raise PluginTimeoutError(
            f"check_config() of plugin {handle.name!r} took longer than its limit of {limit:g} s",
            plugin=handle.name,
            phase="validation",
            limit=limit,
        ) from None
    except Exception as error:
        meant_for_people = isinstance(error, ValueError) and error_text(error)
        raise PluginConfigError(
            f"plugin {handle.name!r} does not accept its configuration: {meant_for_people or error_line(error)}",
            plugin=handle.name,
        ) from error


def import_plugin(candidate: PluginCandidate) -> PluginHandle:
    """Import what a candidate's reference names and, when it is a class or factory, call it; here and now.

    Raises:
        PluginImportError: It cannot be imported, or lacks the attribute.
        PluginInvalidError: It is not a plugin.
        PluginSourceError: The package it comes from is not what was pinned.
    """
    name, reference = candidate.name, candidate.finding.reference
    module_name, _, attribute = reference.partition(":")
    folder = candidate.finding.folder
    home = candidate.finding.environment
    if home is not None and not home.is_current:
        raise PluginSourceError(
            f"plugin {name!r} is installed in {candidate.finding.origin}, whose packages cannot be imported here: it "
            f"runs in a process of its own only",
            plugin=name,
        )
    if candidate.finding.package is not None:
        candidate.finding.package.open()  # it may have been changed since it was found
    if folder is not None:
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
            # It may have held less when it was last looked into.
            sys.path_importer_cache.pop(str(folder), None)
        refuse_clashes(name, folder, module_name, candidate.finding.distribution)
    module = _import_module(name, module_name, candidate)
    if folder is not None:
        # Two plugin folders may use one module name; the second would silently be given the first one's code.
        file = file_of(module)
        if file is not None and not Path(file).resolve().is_relative_to(folder.resolve()):
            raise PluginImportError(
                f"module {module_name} of plugin {name!r} in {folder} is hidden by another of that name at {file}: "
                f"rename the module",
                plugin=name,
            )
    found: object = module
    for part in attribute.split(".") if attribute else ():
        found = _attribute_of(candidate, found, part)
    return PluginHandle.of(candidate.name, found, needs_no_hook=candidate.finding.needs_no_hook)


def _import_module(name: str, module: str, candidate: PluginCandidate) -> ModuleType:
    try:
        return contained(Point.IMPORT, importlib.import_module, module)
    except ModuleNotFoundError as error:
        raise PluginImportError(_not_found(name, module, error, candidate), plugin=name) from error
    except Exception as error:
        raise PluginImportError(
            f"importing {module} for plugin {name!r} {_what_it_did(error)}. Its traceback is in "
            f"`plughost info {name}`; `plughost disable {name}` keeps it from being tried",
            plugin=name,
        ) from error


def _what_it_did(error: Exception) -> str:
    cause = error.__cause__
    if isinstance(error, StrayError) and isinstance(cause, SystemExit):
        return f"called sys.exit({reprlib.repr(cause.code)})"
    hint = (
        ". Imports run in a worker thread, where this cannot be done: move it into start(context)"
        if isinstance(error, RuntimeError | ValueError) and re.search(_ONLY_IN_MAIN, error_text(error))
        else ""
    )
    return f"raised {error_line(error)}{hint}"


def _not_found(name: str, module: str, error: ModuleNotFoundError, candidate: PluginCandidate) -> str:
    missing = error.name or ""
    if not missing:
        return f"importing {module} for plugin {name!r} raised {error_line(error)}"
    if module == missing or module.startswith(f"{missing}."):
        hint = (
            "correct `module` in the configuration"
            if candidate.finding.source == "configuration"
            else "reinstall its distribution"
        )
        return f"module {missing} of plugin {name!r} was not found ({candidate.finding.origin}): {hint}"
    return (
        f"importing {module} for plugin {name!r} failed, because it imports {missing}, which is not installed: "
        f"install what the plugin needs"
    )


def _attribute_of(candidate: PluginCandidate, owner: object, part: str) -> object:
    name, reference = candidate.name, candidate.finding.reference

    def public_names(owner: object) -> list[str]:
        return [known for known in dir(owner) if not known.startswith("_")]

    try:
        return contained(Point.ATTRIBUTE, getattr, owner, part)
    except AttributeError as error:
        near = did_you_mean(part, contained(Point.ATTRIBUTE, public_names, owner))
        raise PluginImportError(
            f"{reference} of plugin {name!r} names {part!r}, which is not there.{near} Correct the entry point or "
            f"`module`",
            plugin=name,
        ) from error
    except ModuleNotFoundError as error:
        raise PluginImportError(_not_found(name, reference, error, candidate), plugin=name) from error
    except Exception as error:
        raise PluginImportError(
            f"looking up {part!r} of {reference} for plugin {name!r} {_what_it_did(error)}. Its traceback is in "
            f"`plughost info {name}`",
            plugin=name,
        ) from error
