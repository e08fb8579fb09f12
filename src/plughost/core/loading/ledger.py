"""What a plugin registered, and how to undo it: once, last first, whatever fails in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plughost.contracts.plugin import check_function
from plughost.core.containment import Point, contained
from plughost.core.time_limit import contained_call
from plughost.exceptions import PluginGoneError

Undo = Callable[[], object]
Apply = Callable[[], Undo | None]


class Ledger:
    """The effects of one start of one plugin.

    Until ``commit`` an effect is only noted, so that a plugin whose start fails leaves nothing behind and one
    that replaces another shows itself whole. After it effects happen at once. After ``close`` they are refused:
    the plugin was stopped, replaced or given up, and is late.
    """

    def __init__(self, plugin: str) -> None:
        self._plugin = plugin
        self._staged: list[Apply] | None = []
        self._undo: list[Undo] = []
        self._on_stop: list[Callable[[], Any]] = []
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether effects are refused."""
        return self._closed

    def add(self, apply: Apply) -> None:
        """Note an effect; ``apply`` makes it happen and returns how to undo it.

        Raises:
            PluginGoneError: The ledger is closed.
        """
        self.check_open()
        if self._staged is not None:
            self._staged.append(apply)
        else:
            self._apply(apply)

    def on_stop(self, function: Callable[[], Any]) -> None:
        """Note something of the plugin's own to do after it was stopped."""
        self.check_open()
        check_function(function, "on_stop")
        self._on_stop.append(function)

    def commit(self) -> None:
        """Make all noted effects happen; when one fails, those before it are undone and its error goes on."""
        staged, self._staged = self._staged or [], None
        try:
            for apply in staged:
                self._apply(apply)
        except BaseException:
            self.undo()
            raise

    def close(self) -> None:
        """Refuse effects from now on."""
        self._closed = True

    def undo(self) -> list[Exception]:
        """Close, and undo everything, last first; returns what failed on the way. A second call does nothing."""
        self.close()
        self._staged = None
        failures: list[Exception] = []
        while self._undo:
            try:
                contained(Point.REGISTER, self._undo.pop())
            except Exception as error:
                failures.append(error)
        return failures

    async def run_on_stop(self) -> list[Exception]:
        """Call what the plugin asked for, last first; returns what failed on the way."""
        failures: list[Exception] = []
        while self._on_stop:
            try:
                await contained_call(Point.ON_STOP, self._on_stop.pop())
            except Exception as error:
                failures.append(error)
        return failures

    def check_open(self) -> None:
        """Raise when effects are refused.

        Raises:
            PluginGoneError: The ledger is closed.
        """
        if self._closed:
            raise PluginGoneError(
                f"plugin {self._plugin!r} is not running any more: it was stopped, replaced or given up. End your "
                f"tasks in stop(), and do not keep the context beyond it",
                plugin=self._plugin,
            )

    def _apply(self, apply: Apply) -> None:
        undo = contained(Point.REGISTER, apply)
        if undo is not None:
            self._undo.append(undo)
