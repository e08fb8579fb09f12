"""Who called which hook with what, and what came of it: all calls of a host, in order."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Generator
from types import MethodType, ModuleType
from typing import Any

import pluggy

from plughost._dataclasses import dataclass
from plughost.core.calls.declaration import Declaration
from plughost.core.calls.declared import declared_in
from plughost.hookspecs._markers import IMPL_ATTRIBUTE, ImplOptions
from plughost.host import Host

_NOT_CALLED = frozenset({"register_jobs"})
"""Hooks that the host reads from each plugin as it starts, and never calls."""

_FIRST = 1_000_000
"""A priority that nobody else has: the recorder stands outermost."""


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One call of a hook that has come to its end.

    Attributes:
        hook: Name of the hook.
        arguments: What it was called with, by name.
        result: What the call returned; None when it raised.
        error: What it raised; None when it returned.
    """

    hook: str
    arguments: dict[str, Any]
    result: Any = None
    error: BaseException | None = None


class HookRecorder:
    """Records the calls of a host's hooks; a plugin of wrappers around all others.

    ``recorder = await HookRecorder.attach(host)``. Calls are listed in the order in which they began. Hooks that
    are declared later are recorded after another ``await recorder.watch(host)``.

    Attributes:
        name: What the plugin is called in the host.
    """

    name = "hook-recorder"

    def __init__(self) -> None:
        self._calls: list[RecordedCall | None] = []
        self._watched: set[str] = set()

    @classmethod
    async def attach(cls, host: Host) -> HookRecorder:
        """Return a recorder of all hooks that are declared in a running host."""
        recorder = cls()
        await recorder.watch(host)
        return recorder

    async def watch(self, host: Host) -> None:
        """Record the hooks, too, that were declared since the last time."""
        known = self._watched | _NOT_CALLED
        new = [one for one in declared_in(host.pluggy) if one.name not in known]
        name = self.name if not self._watched else f"{self.name}-{len(self._watched)}"
        plugin = ModuleType(name)  # hashable and named, as programs expect of theirs
        mark = pluggy.HookimplMarker(host.pluggy.project_name)
        for declaration in new:
            setattr(plugin, declaration.name, self._wrapper(declaration, mark))
        self._watched.update(declaration.name for declaration in new)
        if new:
            before = len(self._calls)
            await host.load_plugin(plugin, name=name)
            del self._calls[before:]  # that the recorder itself was started is nobody's news

    @property
    def calls(self) -> list[RecordedCall]:
        """The calls that have come to their end, in the order in which they began."""
        return [call for call in self._calls if call is not None]

    @property
    def names(self) -> list[str]:
        """Names of the hooks that were called, in order."""
        return [call.hook for call in self.calls]

    def of(self, *hooks: str) -> list[RecordedCall]:
        """Return the calls of these hooks."""
        return [call for call in self.calls if call.hook in hooks]

    def clear(self) -> None:
        """Forget what was recorded."""
        self._calls.clear()

    def _wrapper(self, declaration: Declaration, mark: pluggy.HookimplMarker) -> Any:
        names = declaration.arguments

        def record(*args: Any, **kwargs: Any) -> Generator[None, Any, Any]:
            arguments = dict(zip(names, args, strict=False)) | kwargs
            place = len(self._calls)
            self._calls.append(None)
            try:
                result = yield
            except BaseException as error:
                self._note(place, RecordedCall(declaration.name, arguments, error=error))
                raise
            self._note(place, RecordedCall(declaration.name, arguments, result=result))
            return result

        # pluggy reads the arguments' names off the function behind; a spec may be a method of a class
        spec = declaration.function
        is_method = len(inspect.signature(spec).parameters) > len(names)
        functools.update_wrapper(record, MethodType(spec, self) if is_method else spec, updated=())
        setattr(record, IMPL_ATTRIBUTE, ImplOptions(priority=_FIRST))
        return mark(wrapper=True, tryfirst=True)(record)

    def _note(self, place: int, call: RecordedCall) -> None:
        if place < len(self._calls):  # it may have been cleared meanwhile
            self._calls[place] = call
