"""What plugins contribute becomes one ASGI application; what has no guard keeps it from being made."""

from __future__ import annotations

import copy
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import FunctionType
from typing import Any

from starlette.routing import BaseRoute

from plughost._dataclasses import dataclass
from plughost.contracts.error_text import error_line, error_text
from plughost.contracts.http import ASGIApp, HttpContext, Middleware, Receive, Scope, Send
from plughost.contracts.logs import get_logger
from plughost.contracts.value_text import class_name, items_of, plain_text, value_text
from plughost.core.containment import Point, contained
from plughost.core.processes.routes import ElsewhereRoute
from plughost.exceptions import RouteError, did_you_mean
from plughost.http.compression import Compression
from plughost.http.elsewhere import route_of
from plughost.http.guards import Guard
from plughost.http.outer import OriginCheck, OuterShell
from plughost.http.problems import Problem
from plughost.http.rates import PER_MINUTE
from plughost.http.routes import Route, WebSocketRoute
from plughost.http.runtime import HttpRuntime
from plughost.http.shell import Shell
from plughost.http.table import RouteTable
from plughost.http.taken import TakenRoutes

_log = get_logger("plughost.http")


@dataclass(frozen=True, slots=True)
class Composition:
    """One state of the application.

    Attributes:
        app: It.
        within: It without the plugins' middleware, where that stands further out already.
        routes: What it serves, each knowing its plugin.
        middleware: Names of what stands around, outermost first.
        left_out: What could not be part of it, in sentences.
        awaited: Plugins that are being started anew, and whose routes ask for a moment of patience until then.
    """

    app: ASGIApp
    within: ASGIApp
    routes: tuple[Route | WebSocketRoute, ...]
    middleware: tuple[str, ...]
    left_out: tuple[str, ...]
    awaited: tuple[str, ...] = ()


def compose(runtime: HttpRuntime, own: Sequence[Route], context: HttpContext, *, strict: bool) -> Composition:
    """Ask the plugins and put the application together.

    Args:
        runtime: The application's parts.
        own: The host's own routes, which plugins cannot replace.
        context: What plugins are told of the application.
        strict: Whether something that does not fit stops everything; otherwise all contributions of its
            plugin are left out, so that a later plugin cannot take the application down.

    Raises:
        RouteError: Something does not fit, and ``strict``.
    """
    sieve = _Sieve(strict)
    hooks = runtime.host.own_hooks
    routes: list[Route | WebSocketRoute] = list(own)
    answers = dict(_by_plugin(hooks.register_routes.report(context=context)))
    awaited = _awaited(runtime, answers)
    for plugin in _in_former_order(answers, awaited, runtime):
        items = awaited.get(plugin) or answers[plugin]
        routes += sieve.pass_on(plugin, _checked(plugin, items, routes, runtime))
    around = _contributed_middleware(runtime, context, sieve)
    visits = {name: found for name in answers if (found := runtime.host.visits_of(name)) is not None}
    table = RouteTable(_without(sieve.refused, routes), visits)
    used = {*PER_MINUTE, *(route.rate for route in routes if isinstance(route, Route))}
    for name in runtime.settings.rate_limits:
        if name not in used:
            hint = did_you_mean(name, [rate for rate in used if rate])
            _log.warning(
                "no route counts in this rate class", setting=f"http.rate_limits.{name}", advice=hint.strip()
            )
    app = _wrapped(table, around, sieve)
    return Composition(
        app=Shell(_compressed(app, runtime), runtime),
        within=Shell(_compressed(table, runtime), runtime),
        routes=tuple(_without(sieve.refused, routes)),
        middleware=tuple(_name_of(each) for plugin, each in around if plugin not in sieve.refused),
        left_out=tuple(sieve.sentences),
        awaited=tuple(awaited),
    )


def _awaited(runtime: HttpRuntime, present: Container[str]) -> dict[str, list[Route | WebSocketRoute]]:
    """Return stand-ins for the routes of plugins that are being started anew.

    A plugin that cannot be made twice stops before it starts again. Its addresses did not cease to exist meanwhile:
    who is told 404 believes that for good.
    """
    awaited: dict[str, list[Route | WebSocketRoute]] = {}

    async def have_patience(scope: Scope, receive: Receive, send: Send) -> None:
        plugin = scope["route"].plugin
        sentence = f"The plugin {plugin!r} is being started anew; ask again in a moment."
        raise Problem(503, sentence, code="plugin_restarting", headers={"Retry-After": "1"})

    for route in runtime.routes:
        if route.plugin and route.plugin not in present and runtime.host.is_starting(route.plugin):
            stand_in = copy.copy(route)
            stand_in.app = have_patience
            awaited.setdefault(route.plugin, []).append(stand_in)
    return awaited


def _in_former_order(
    answers: Mapping[str, Any], awaited: Collection[str], runtime: HttpRuntime
) -> Iterator[str]:
    """Give the plugins in call order, those that are awaited before whoever came after them."""
    before = list(dict.fromkeys(route.plugin for route in runtime.routes if route.plugin))
    left = [plugin for plugin in before if plugin in awaited]
    for plugin in answers:
        while left and plugin in before and before.index(left[0]) < before.index(plugin):
            yield left.pop(0)
        yield plugin
    yield from left


def compose_around(
    inner: ASGIApp, runtime: HttpRuntime, context: HttpContext, *, strict: bool
) -> Composition:
    """Put the plugins' middleware, and what the host sees to, around an application of somebody's own.

    Args:
        inner: That application. What it answers is left as it is.
        runtime: The parts of the application around it.
        context: What plugins are told of the application.
        strict: Whether something that does not fit stops everything.

    Raises:
        RouteError: Something does not fit, and ``strict``.
    """
    sieve = _Sieve(strict)
    around = _contributed_middleware(runtime, context, sieve)
    app = OuterShell(_wrapped(OriginCheck(inner), around, sieve), runtime)
    return Composition(
        app=app,
        within=app,
        routes=(),
        middleware=tuple(_name_of(each) for plugin, each in around if plugin not in sieve.refused),
        left_out=tuple(sieve.sentences),
    )


def _contributed_middleware(
    runtime: HttpRuntime, context: HttpContext, sieve: _Sieve
) -> list[tuple[str, Middleware]]:
    """Return the middleware of every plugin that is not refused, outermost first."""
    around: list[tuple[str, Middleware]] = []
    for plugin, items in _by_plugin(runtime.host.own_hooks.register_middleware.report(context=context)):
        around += sieve.pass_on(plugin, _checked_middleware(plugin, items))
    around.sort(key=lambda pair: -pair[1].priority)  # stable: equals stay in call order
    return around


def _wrapped(app: ASGIApp, around: Sequence[tuple[str, Middleware]], sieve: _Sieve) -> ASGIApp:
    for plugin, middleware in reversed(around):
        if plugin not in sieve.refused:
            app = sieve.wrap(plugin, middleware, app)
    return app


def _compressed(app: ASGIApp, runtime: HttpRuntime) -> ASGIApp:
    minimum = runtime.settings.gzip_minimum
    return app if minimum is None else Compression(app, minimum)


class _Sieve:
    """Lets contributions through, plugin by plugin."""

    def __init__(self, strict: bool) -> None:
        self._strict = strict
        self.refused: set[str] = set()
        self.sentences: list[str] = []

    def pass_on(self, plugin: str, checked: Iterator[Any]) -> list[Any]:
        """Return what was contributed, or nothing when a part of it is refused."""
        try:
            return contained(Point.ANSWER, list, checked)
        except RouteError as error:
            self._refuse(plugin, error)
        except Exception as error:
            failure = RouteError(
                f"plugin {plugin!r}: reading what it contributes raised {error_line(error)}", plugin=plugin
            )
            failure.__cause__ = error
            self._refuse(plugin, failure)
        return []

    def wrap(self, plugin: str, middleware: Middleware, app: ASGIApp) -> ASGIApp:
        try:
            return contained(Point.MIDDLEWARE, middleware.factory, app)
        except Exception as error:
            failure = RouteError(
                f"plugin {plugin!r}: its middleware {_name_of(middleware)!r} cannot be made: {error_line(error)}",
                plugin=plugin,
            )
            failure.__cause__ = error
            self._refuse(plugin, failure)
            return app

    def _refuse(self, plugin: str, error: RouteError) -> None:
        if self._strict:
            raise error
        self.refused.add(plugin)
        self.sentences.append(str(error))
        _log.error("contribution left out", plugin=plugin, path=error.path, reason=str(error))


def _by_plugin(report: Any) -> Iterator[tuple[str, Any]]:
    """Give each plugin's answer; failures were reported by the dispatcher."""
    for outcome in report.outcomes:
        if outcome.kind == "value" and outcome.value is not None:
            yield outcome.plugin, outcome.value


def _checked(
    plugin: str, items: Any, taken: Sequence[Any], runtime: HttpRuntime
) -> Iterator[Route | WebSocketRoute]:
    seen = TakenRoutes(taken)
    for item in _sequence(plugin, "register_routes", items):
        route = _guarded(plugin, item)
        if isinstance(route, Route) and route.rate is not None and not runtime.rates.knows(route.rate):
            raise RouteError(
                f"plugin {plugin!r}: route {route.path} counts in an unknown rate class {route.rate!r};"
                " name one of HttpSettings.rate_limits",
                plugin=plugin,
                path=route.path,
            )
        seen.claim(route, plugin)
        route.plugin = plugin
        yield route


def _guarded(plugin: str, item: Any) -> Route | WebSocketRoute:
    if isinstance(item, ElsewhereRoute):
        return route_of(plugin, item)
    if isinstance(item, Route | WebSocketRoute) and isinstance(item.guard, Guard):
        return item
    path = plain_text(getattr(item, "path", ""))
    if isinstance(item, BaseRoute):
        raise RouteError(
            f"plugin {plugin!r}: route {path or value_text(item)} has no guard; make it with "
            "plughost.http.Route(..., guard=PUBLIC | SIGNED_IN | scope('...'))",
            plugin=plugin,
            path=path,
        )
    raise RouteError(
        f"plugin {plugin!r}: register_routes returned {value_text(item)}, which is not a route", plugin=plugin
    )


def _checked_middleware(plugin: str, items: Any) -> Iterator[tuple[str, Middleware]]:
    for item in _sequence(plugin, "register_middleware", items):
        if not isinstance(item, Middleware):
            raise RouteError(
                f"plugin {plugin!r}: register_middleware returned {value_text(item)}, which is no"
                " plughost.contracts.Middleware",
                plugin=plugin,
            )
        yield plugin, item


def _sequence(plugin: str, hook: str, items: Any) -> list[Any]:
    try:
        return items_of(items, object)
    except TypeError as error:
        raise RouteError(
            f"plugin {plugin!r}: what {hook} returned: {error_text(error)}", plugin=plugin
        ) from error


def _without(refused: set[str], routes: Iterable[Any]) -> list[Any]:
    return [route for route in routes if route.plugin not in refused]


def _name_of(middleware: Middleware) -> str:
    if named := plain_text(middleware.name):
        return named
    factory = middleware.factory.func if type(middleware.factory) is partial else middleware.factory
    if isinstance(factory, FunctionType):
        return factory.__qualname__
    return class_name(factory if isinstance(factory, type) else type(factory)).rpartition(".")[2]
