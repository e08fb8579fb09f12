"""A plugin may be a module, a class, a factory or an instance; from here on it is a ``PluginHandle``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from types import MappingProxyType, ModuleType
from typing import Any

from plughost.contracts.error_text import error_line, error_text
from plughost.contracts.masking import masked
from plughost.contracts.plugin import Plugin, PluginContext
from plughost.contracts.value_text import class_name, plain_text, value_text
from plughost.core.calls.marks import projects_marking
from plughost.core.containment import Point, contained
from plughost.core.threads import run_in_daemon_thread
from plughost.exceptions import PluginError, PluginInvalidError
from plughost.hookspecs import PROJECT

_METHODS = ("start", "stop", "status", "check_config")


class PluginHandle:
    """One plugin object behind one face, whatever its shape. What it says of itself is read once, when it is made.

    Attributes:
        name: The plugin's name.
        target: The module or instance itself; what pluggy is given.
        is_foreign: Whether it was written for bare pluggy: then its hooks are all that is read of it, and names
            such as ``start``, ``status`` or ``Config`` in it are its own business.
        version: What the plugin itself says its version is; empty when it does not.
        requires: Names of plugins it cannot do without.
        after: Names of plugins it starts after when they are there.
        host_api: Range of host API versions it works with.
        config_class: The class its configuration must fit; None when it declares none.
        checks_config: Whether it has a ``check_config`` that does something.
    """

    def __init__(self, name: str, target: object, *, needs_no_hook: bool = False) -> None:
        self.name = name
        self.target = target
        bool(target == _NOTHING)  # pluggy compares each plugin with all others: let it raise here, for itself
        self.is_foreign = is_foreign(target) or (needs_no_hook and not _is_plugin(target))
        if not self.is_foreign:
            _check_shape(name, target)
        self.version = _version(target)
        said = _NOTHING if self.is_foreign else target
        self.requires = _names(name, "requires", getattr(said, "requires", ()))
        self.after = _names(name, "after", getattr(said, "after", ()))
        self.host_api = _text(said, "host_api")
        found = getattr(said, "Config", None)
        if found is not None and not isinstance(found, type):
            raise PluginInvalidError(
                f"the Config of plugin {name!r} is {value_text(found)}, not a class: "
                "declare `class Config(msgspec.Struct)`",
                plugin=name,
            )
        self.config_class = found
        check = getattr(said, "check_config", None)
        self.checks_config = check is not None and getattr(check, "__func__", None) is not Plugin.check_config

    @classmethod
    def of(cls, name: str, found: object, *, needs_no_hook: bool = False) -> PluginHandle:
        """Make a handle of whatever an entry point, a configuration or a caller named.

        Args:
            name: The plugin's name.
            found: What was named.
            needs_no_hook: Whether it is a plugin though it implements no hook, as on bare pluggy.

        Raises:
            PluginInvalidError: It is not a plugin; the message says what it lacks.
        """
        try:
            is_factory = contained(Point.SHAPE, _is_factory, found)
            target = contained(Point.SHAPE, _instantiate, name, found) if is_factory else found
            return contained(Point.SHAPE, partial(cls, needs_no_hook=needs_no_hook), name, target)
        except PluginInvalidError:
            raise
        except Exception as error:
            raise PluginInvalidError(
                f"reading what plugin {name!r} says of itself raised {error_line(error)}. Its version, requires, "
                f"after, host_api, Config and methods must be there to be read, without any work",
                plugin=name,
            ) from error

    async def check_config(self, config: object) -> None:
        """Run the plugin's own check of its configuration, if it has one."""
        if self.checks_config:
            await self._call("check_config", config)

    async def start(self, context: PluginContext) -> None:
        """Run the plugin's ``start``, if it has one."""
        await self._call("start", context)

    async def stop(self) -> None:
        """Run the plugin's ``stop``, if it has one."""
        await self._call("stop")

    def status(self) -> Mapping[str, object]:
        """Return what the plugin says of itself, secrets hidden; its failure to say so is said instead."""
        try:
            return MappingProxyType(contained(Point.STATUS, self._ask_status))
        except Exception as error:
            return MappingProxyType({"error": f"status() raised {error_line(error)}"})

    def _ask_status(self) -> dict[str, object]:
        report = None if self.is_foreign else getattr(self.target, "status", None)
        said = report() if callable(report) else {}
        if inspect.isawaitable(said):
            _close(said)
            return {
                "error": "status() is `async def`, but it is asked while nothing can wait: make it a plain `def`"
            }
        shown: dict[str, object] = masked(dict(said) if isinstance(said, Mapping) else {"status": said})
        return shown

    async def _call(self, method: str, *args: object) -> None:
        function = None if self.is_foreign else getattr(self.target, method, None)
        if function is None:
            return
        await call_either_way(function, *args)


async def call_either_way(function: Callable[..., Any], *args: object) -> Any:
    """Await an async function; run a plain one in a worker thread, so that it cannot stall the host."""
    if inspect.iscoroutinefunction(function):
        return await function(*args)
    returned = await run_in_daemon_thread(partial(function, *args))
    return await returned if isinstance(returned, Awaitable) else returned


def _instantiate(name: str, factory: Any) -> object:
    try:
        made = contained(Point.MAKE, factory)
    except PluginError:
        raise
    except Exception as error:
        raise PluginInvalidError(_not_made(name, factory, error), plugin=name) from error
    if inspect.isawaitable(made):
        _close(made)
        raise PluginInvalidError(
            f"{_qualified(factory)} of plugin {name!r} is a coroutine function: an entry point names a module, "
            f"class, factory or instance; move the awaiting into start(context)",
            plugin=name,
        )
    return made


def _not_made(name: str, factory: Any, error: Exception) -> str:
    what = (
        f"the {'class' if isinstance(factory, type) else 'factory'} {_qualified(factory)} of plugin {name!r}"
    )
    try:
        inspect.signature(factory).bind()
    except TypeError:
        return (
            f"{what} could not be called without arguments: {error_text(error)}. A plugin gets everything through "
            f"start(context); give its other parameters defaults"
        )
    except ValueError:  # code without a signature: nothing is known
        pass
    return f"calling {what} raised {error_line(error)}. Move work that can fail into start(context)"


def name_of(thing: object) -> str:
    """Return what a plugin is called when nobody gave it a name: its ``name``, else that of its module or class.

    Raises:
        PluginInvalidError: Asking it raised.
    """
    try:
        named = plain_text(contained(Point.SHAPE, getattr, thing, "name", None))
    except Exception as error:
        raise PluginInvalidError(
            f"reading the name of {_qualified(thing)} raised {error_line(error)}. Write `name` as a plain text, or "
            f"give load_plugin(..., name=...)",
            plugin=_qualified(thing),
        ) from error
    if named:
        return named
    own = written_where(thing).rpartition(":")[2].rpartition(".")[2]
    if isinstance(thing, ModuleType):
        return own
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", own.removesuffix("Plugin") or own).lower()


def written_where(thing: object) -> str:
    """Return where a plugin that code handed over comes from: ``module``, or ``module:class``. Never raises."""
    if isinstance(thing, ModuleType):
        return plain_text(object.__getattribute__(thing, "__dict__").get("__name__"))
    whole = _qualified(thing)
    kind: Any = thing if issubclass(type(thing), type) or inspect.isroutine(thing) else type(thing)
    name = kind.__qualname__ if inspect.isroutine(kind) else type.__dict__["__qualname__"].__get__(kind)
    return f"{whole.removesuffix(f'.{name}')}:{name}"


def _is_factory(found: object) -> bool:
    if not callable(found) or isinstance(found, ModuleType | Plugin):
        return False
    return isinstance(found, type) or inspect.isroutine(found) or not has_hooks(found)


def _close(awaitable: object) -> None:
    """Tell a coroutine that nobody will await it, so that Python does not warn of it."""
    getattr(awaitable, "close", lambda: None)()


def _check_shape(name: str, target: object) -> None:
    for method in _METHODS:
        found = getattr(target, method, None)
        if found is not None and not callable(found):
            kind = class_name(type(found)).rpartition(".")[2]
            raise PluginInvalidError(
                f"{method} of plugin {name!r} is {kind}, not a function: define `async def {method}(...)` or remove it",
                plugin=name,
            )
    if _is_plugin(target):
        return
    what = f"module {target.__name__}" if isinstance(target, ModuleType) else class_name(type(target))
    raise PluginInvalidError(
        f"{what} is not a plugin: it has no start(context) method and no hook implementation. Derive "
        f"from plughost.Plugin, add `async def start(self, context)`, or mark a function with @hookimpl",
        plugin=name,
    )


def _is_plugin(target: object) -> bool:
    return isinstance(target, Plugin) or callable(getattr(target, "start", None)) or has_hooks(target)


def has_hooks(target: object) -> bool:
    """Whether something on ``target`` is marked as a hook implementation, whoever's; properties are not executed."""
    return bool(projects_marking(target, "_impl"))


def is_foreign(target: object) -> bool:
    """Whether ``target`` is marked by other projects' markers alone, and is no ``Plugin``."""
    marking = projects_marking(target, "_impl")
    return bool(marking) and PROJECT not in marking and not isinstance(target, Plugin)


def version_of(plugin: object) -> str:
    """Return what a plugin itself says its version is; empty when it says nothing, or saying it fails."""
    try:
        return contained(Point.SHAPE, _version, plugin)
    except Exception:
        return ""


_NOTHING = object()


def _version(target: object) -> str:
    return _text(target, "version") or _text(target, "__version__")


def _text(target: object, attribute: str) -> str:
    """Return a text that a plugin says of itself; a module may have imported something else of that name."""
    return plain_text(getattr(target, attribute, ""))


def _names(plugin: str, attribute: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, tuple | list | frozenset | set):
        raise PluginInvalidError(
            f"{attribute} of plugin {plugin!r} is {value_text(value)}: write a tuple of plugin names, such as "
            f"('cache',)",
            plugin=plugin,
        )
    return tuple(plain_text(name) or str(name) for name in value)


def _qualified(thing: Any) -> str:
    if issubclass(type(thing), type):
        return class_name(thing)
    if inspect.isroutine(thing):
        return f"{thing.__module__}.{thing.__qualname__}"
    return class_name(type(thing))
