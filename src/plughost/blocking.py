"""The same host for programs without an event loop: scripts, threads, WSGI applications.

There are no synchronous twins. A ``BlockingHost`` runs one event loop in one thread of its own, and whatever
is reached through it is the host's own object seen through a window: what would have to be awaited is awaited
over there, and the caller's thread waits.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, ExitStack
from types import MappingProxyType, ModuleType, TracebackType
from typing import Any, Self, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from plughost.contracts.plugin import Service
from plughost.exceptions import HostNotReadyError
from plughost.host import ConfigSource, Host

T = TypeVar("T")

_PLAIN = (str, bytes, int, float, bool, type(None), dict, MappingProxyType, tuple, list, set, frozenset)


class BlockingHost:
    """A ``Host`` whose every part can be used from any thread without ``await``.

    ``with BlockingHost("acme") as host: host.hooks.before_auth(attempt=attempt)``

    Args:
        name: As for ``Host``.
        config: As for ``Host``.
        backend: Event loop to run: ``asyncio`` or ``trio``.
        options: Further arguments of ``Host``.
    """

    def __init__(
        self, name: str = "plughost", *, config: ConfigSource = None, backend: str = "asyncio", **options: Any
    ) -> None:
        self._host = Host(name, config=config, **options)
        self._backend = backend
        self._exit = ExitStack()
        self._portal: BlockingPortal | None = None

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            self._portal = undo.enter_context(start_blocking_portal(self._backend))
            undo.enter_context(self._portal.wrap_async_context_manager(self._host))
            self._exit = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._exit.__exit__(kind, error, trace)
        finally:
            self._portal = None

    def start(self) -> Self:
        """Enter without ``with``, for frameworks that call back at start and at stop."""
        return self.__enter__()

    def stop(self) -> None:
        """Leave what ``start`` entered."""
        self.__exit__(None, None, None)

    def add_hookspecs(self, module: ModuleType | type) -> None:
        """Add a catalogue of the application's own; best before entering."""
        self._host.add_hookspecs(module)

    def use(self, service: Service[T]) -> T:
        """Return a service of a plugin, with its coroutines made into plain calls.

        Raises:
            ServiceError: No running plugin provides it.
        """
        window: Any = self._window(self._host.use(service))
        return window  # type: ignore[no-any-return]

    def run(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Await ``function(host, *args)`` in the host's event loop; it is given the host itself, not a window.

        Raises:
            HostNotReadyError: The host is not running.
        """
        if self._portal is None:
            raise HostNotReadyError(
                "the host is not running: use it inside `with BlockingHost(...) as host:`"
            )
        returned: T = self._portal.call(function, self._host, *args)
        return returned

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._window(getattr(self._host, name))

    def _window(self, thing: Any) -> Any:
        if self._portal is None:
            raise HostNotReadyError(
                "the host is not running: use it inside `with BlockingHost(...) as host:`"
            )
        return _through(self._portal, thing)


class Window:
    """An object of the event loop's thread as other threads see it."""

    def __init__(self, portal: BlockingPortal, thing: Any) -> None:
        self._portal = portal
        self._thing = thing

    def __getattr__(self, name: str) -> Any:
        return _through(self._portal, getattr(self._thing, name))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the object over there, await what must be awaited, and return the result."""
        made = self._portal.call(_call, self._thing, args, kwargs)
        return _through(self._portal, made)

    def __getitem__(self, key: Any) -> Any:
        return self._portal.call(self._thing.__getitem__, key)

    def __contains__(self, key: object) -> bool:
        return bool(self._portal.call(self._thing.__contains__, key))

    def __iter__(self) -> Any:
        return iter(self._portal.call(list, self._thing))

    def __len__(self) -> int:
        return int(self._portal.call(len, self._thing))

    def __enter__(self) -> Any:
        self._context: AbstractContextManager[Any] = self._portal.wrap_async_context_manager(self._thing)
        return _through(self._portal, self._context.__enter__())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._context.__exit__(kind, error, trace)

    def __repr__(self) -> str:
        return f"<blocking {self._thing!r}>"


async def _call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    made = function(*args, **kwargs)
    return await made if inspect.isawaitable(made) else made


def _through(portal: BlockingPortal, thing: Any) -> Any:
    """Show behaviour through a window; data are data in every thread."""
    is_record = hasattr(type(thing), "__dataclass_fields__") or hasattr(type(thing), "__struct_fields__")
    return thing if isinstance(thing, _PLAIN) or is_record else Window(portal, thing)
