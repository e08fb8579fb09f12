"""Which routes want the same requests: only the first of them would ever be asked."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from plughost.exceptions import RouteError
from plughost.http.routes import Route, WebSocketRoute

_ANY: Final = "*"
_PARAMETER = re.compile(r"\(\?P<\w+>")
_SOCKET = WebSocketRoute.methods


class TakenRoutes:
    """What is asked for by routes that are there already.

    Paths that differ in the names of their parameters are one path.

    Args:
        routes: They.
    """

    def __init__(self, routes: Iterable[Route | WebSocketRoute]) -> None:
        self._held: dict[str, dict[str, str]] = {}
        for route in routes:
            held = self._held_at(route)
            for method in route.methods or (_ANY,):
                held.setdefault(method, route.plugin)

    def claim(self, route: Route | WebSocketRoute, plugin: str) -> None:
        """Note that a plugin's route is there.

        Raises:
            RouteError: Another route is asked in its place.
        """
        held = self._held_at(route)
        methods = route.methods or {_ANY}
        for method in sorted(methods):
            holder = _holder(held, method, plugin)
            # Starlette adds HEAD to every GET: the author did not ask for it.
            if holder is None or (holder == plugin and method == "HEAD" and "GET" in methods):
                continue
            what = f"plugin {plugin!r}: route {'any method' if method == _ANY else method} {route.path}"
            if holder == plugin:
                message = f"{what} is there twice, and the second would never be asked; leave one out"
            else:
                message = f"{what} is taken by {holder or 'the host itself'}; choose another path"
            raise RouteError(message, plugin=plugin, path=route.path)
        held |= dict.fromkeys(methods - held.keys(), plugin)

    def _held_at(self, route: Route | WebSocketRoute) -> dict[str, str]:
        return self._held.setdefault(_PARAMETER.sub("(", route.path_regex.pattern), {})


def _holder(held: dict[str, str], method: str, plugin: str) -> str | None:
    """Return who is asked already where this method is; the same plugin may see to what its other routes leave."""
    if method in held or method in _SOCKET:
        return held.get(method)
    if method == _ANY:
        return next((name for one, name in held.items() if one not in _SOCKET and name != plugin), None)
    return held.get(_ANY)
