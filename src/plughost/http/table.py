"""The route table: Starlette's router, which finds a path without parameters in one step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from starlette.routing import BaseRoute, Match, Router

from plughost.contracts.http import Receive, Scope, Send
from plughost.core.calls.visits import Visit, Visits
from plughost.http.problems import Problem
from plughost.http.routes import Route
from plughost.http.runtime import RUNTIME, VISIT


class RouteTable(Router):
    """Serves routes by their path; a fixed path wins over one with parameters, earlier ones over later ones.

    A path with one slash more or less is another path and is not found: nothing is guessed, so nothing goes
    past a guard by a detour.

    Args:
        routes: What to serve.
        visits: Where requests at the routes of each plugin are counted, by its name.
    """

    def __init__(
        self, routes: Sequence[BaseRoute], visits: Mapping[str, Visits] = MappingProxyType({})
    ) -> None:
        super().__init__(routes, redirect_slashes=False)
        self._visits = visits
        self._fixed: dict[str, list[Route]] = {}
        self._patterned: list[BaseRoute] = []
        for route in routes:
            # Fixed is what matches one path, by nothing but that and its methods.
            if (
                isinstance(route, Route)
                and not route.param_convertors
                and type(route).matches is Route.matches
            ):
                self._fixed.setdefault(route.path, []).append(route)
            else:
                self._patterned.append(route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request to its route.

        Raises:
            Problem: 404 there is none; 405 there is one for other methods only; 503 its plugin had to stop before
                it had answered.
        """
        route = self._find(scope)
        visits = self._visits.get(getattr(route, "plugin", ""))
        if visits is None:
            await route.handle(scope, receive, send)
            return
        with Visit(visits) as visit:
            scope[VISIT] = visit
            rest = visit.rest_of(route.handle(scope, receive, send), scope[RUNTIME].watchdog)
            if rest is None or await rest:
                return
        told = (
            f"The plugin {scope['route'].plugin!r} had to stop before it had answered; ask again in a moment."
        )
        raise Problem(503, told, code="plugin_restarting", headers={"Retry-After": "1"})

    def _find(self, scope: Scope) -> BaseRoute:
        """Return the route of a request, and note in its scope what that means."""
        scope.setdefault("router", self)
        allowed: frozenset[str] = frozenset()
        if scope["type"] == "http":
            method = scope["method"]
            for fixed in self._fixed.get(path_inside(scope), ()):
                scope["route"] = fixed
                if fixed.methods is None or method in fixed.methods:
                    scope["endpoint"] = fixed.endpoint
                    scope["path_params"] = {**scope["path_params"]} if "path_params" in scope else {}
                    return fixed
                allowed |= fixed.methods
        for route in self._patterned:
            try:
                match, found = route.matches(scope)
            except ValueError:  # such as of a number with more digits than Python reads
                continue
            if match is Match.NONE:
                continue
            scope["route"] = route
            scope.update(found)
            if match is Match.FULL:
                return route
            allowed |= getattr(route, "methods", None) or frozenset()
        if allowed:
            raise Problem(405, headers={"Allow": ", ".join(sorted(allowed))}, code="method_not_allowed")
        raise Problem(404, "There is nothing here.", code="not_found")


def path_inside(scope: Any) -> str:
    """Return the path as routes see it: without the prefix under which the application is mounted."""
    path: str = scope["path"]
    prefix: str = scope.get("root_path", "")
    if prefix and path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/"):
        return path[len(prefix) :]
    return path
