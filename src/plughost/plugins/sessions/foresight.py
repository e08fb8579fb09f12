"""Which handlers look at their session without awaiting it, where a look is a round trip.

A session over the network that nobody looks at costs nothing, so none is loaded beforehand. A handler that looks at
its own with a plain ``session["name"]`` makes that look wait for the store, and with it everybody else in its event
loop. So that happens once: from then on sessions are loaded before that handler runs.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from plughost.contracts import Scope

_MOST_SURPRISES: Final = 8
"""Paths that may make the loop wait; then sessions are loaded beforehand everywhere but where nobody looks."""

_MOST_PATHS: Final = 10_000
_QUIET_AFTER: Final = 3
"""Requests in a row whose session was loaded beforehand for nobody, until a path is believed not to look."""


class Foresight:
    """What was seen of the handlers of one application, by method and path; forgotten when the program ends."""

    def __init__(self) -> None:
        self._surprises = 0
        self._unused: OrderedDict[str, int] = OrderedDict()
        """Paths with how many sessions in a row were loaded for nobody; 0 for those that look."""

    def expects(self, scope: Scope) -> bool:
        """Whether the handler of a request is expected to look without awaiting."""
        if not self._surprises:
            return False
        unused = self._unused.get(_place(scope))
        if unused is None:
            return self._surprises >= _MOST_SURPRISES
        return unused < _QUIET_AFTER

    def surprised(self, scope: Scope) -> None:
        """A handler looked, and its session had not been loaded."""
        self._surprises += 1
        self._remember(_place(scope), 0)

    def loaded(self, scope: Scope, *, used: bool) -> None:
        """A session was loaded beforehand, and the handler has ended."""
        place = _place(scope)
        self._remember(place, 0 if used else self._unused.get(place, 0) + 1)

    def _remember(self, place: str, unused: int) -> None:
        self._unused[place] = unused
        self._unused.move_to_end(place)
        if len(self._unused) > _MOST_PATHS:
            self._unused.popitem(last=False)


def _place(scope: Scope) -> str:
    return f"{scope.get('method', '')} {scope.get('root_path', '')} {scope['path']}"
