"""What follows from crashes of background tasks: degraded while one waits to be restarted, then quarantine."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from plughost.contracts.clock import Clock
from plughost.contracts.logs import get_logger
from plughost.contracts.records import PluginState
from plughost.core.loading.background import CrashBudget, RestartPolicy, Watcher
from plughost.core.loading.registry import PluginRegistry
from plughost.exceptions import PluginError

_log = get_logger("plughost.loading")


class CrashWatch:
    """Keeps each plugin's budget of crashes, over all its starts, and its record true.

    Args:
        registry: Where the record is.
        policy: How often crashes are forgiven.
        clock: Time.
        changed: Called after a record changed.
        quarantine: Called with the plugin's name and the error when its budget is spent.
    """

    def __init__(
        self,
        registry: PluginRegistry,
        policy: RestartPolicy,
        clock: Clock,
        changed: Callable[[], None],
        quarantine: Callable[[str, PluginError], None],
    ) -> None:
        self._registry = registry
        self._policy = policy
        self._clock = clock
        self._changed = changed
        self._quarantine = quarantine
        self._budgets: dict[str, CrashBudget] = {}

    def budget(self, name: str) -> CrashBudget:
        """The plugin's budget; a restart does not refill it."""
        return self._budgets.setdefault(name, CrashBudget(self._policy, self._clock))

    def watcher(self, name: str) -> Watcher:
        """Who is told of the crashes of this plugin."""
        return Watcher(
            crashed=partial(self._crashed, name),
            resumed=partial(self._resumed, name),
            exhausted=partial(self._exhausted, name),
        )

    def _crashed(self, name: str, error: BaseException) -> None:
        record = self._registry[name].record
        reason = f"a background task crashed and will be restarted: {type(error).__name__}: {error}"
        _log.warning("background task of plugin crashed", plugin=name, exc_info=error)
        self._registry.note(name, restarts=record.restarts + 1)
        if record.state is PluginState.READY:
            self._registry.move(name, PluginState.DEGRADED, reason=reason)
            self._changed()

    def _resumed(self, name: str) -> None:
        if self._registry[name].record.state is PluginState.DEGRADED:
            self._registry.move(name, PluginState.READY)
            self._changed()

    def _exhausted(self, name: str, error: BaseException) -> None:
        failure = PluginError(
            f"a background task of plugin {name!r} crashed more than {self._policy.max_crashes} times within "
            f"{self._policy.window:g} s, last with {type(error).__name__}: {error}. It is in quarantine: mend it, "
            f"then reload it",
            plugin=name,
        )
        failure.__cause__ = error
        self._budgets.pop(name, None)
        self._quarantine(name, failure)
