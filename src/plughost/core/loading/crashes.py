"""What follows from crashes of background tasks: degraded while one waits to be restarted, then quarantine."""

from __future__ import annotations

from collections.abc import Callable

from plughost.contracts.clock import Clock
from plughost.contracts.error_text import error_line
from plughost.contracts.logs import get_logger
from plughost.contracts.records import PluginState
from plughost.core.loading.background import CrashBudget, RestartPolicy
from plughost.core.loading.registry import PluginRegistry
from plughost.exceptions import PluginError

_log = get_logger("plughost.loading")


class CrashWatch:
    """Keeps each plugin's budget of crashes, over all its starts.

    Args:
        registry: Where the records are.
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
        self.registry = registry
        self.policy = policy
        self.changed = changed
        self._clock = clock
        self._quarantine = quarantine
        self._budgets: dict[str, CrashBudget] = {}

    def budget(self, name: str) -> CrashBudget:
        """The plugin's budget; a restart does not refill it."""
        return self._budgets.setdefault(name, CrashBudget(self.policy, self._clock))

    def give_up(self, name: str, error: PluginError) -> None:
        """Put a plugin in quarantine; should somebody reload it, it has a new budget."""
        self._budgets.pop(name, None)
        self._quarantine(name, error)


class RunWatch:
    """Keeps the record of one start of one plugin true while its tasks crash and recover."""

    def __init__(self, name: str, crashes: CrashWatch) -> None:
        self._name = name
        self._crashes = crashes
        self._registry = crashes.registry
        self._down: list[str] = []

    def became_ready(self) -> None:
        """The plugin became ready; it is degraded all the same when a task of it crashed before."""
        if self._down:
            self._registry.move(self._name, PluginState.DEGRADED, reason=self._down[-1])

    def crashed(self, error: BaseException) -> None:
        """A task crashed and will be restarted."""
        record = self._registry[self._name].record
        _log.warning("background task of plugin crashed", plugin=self._name, exc_info=error)
        self._down.append(f"a background task crashed and will be restarted: {error_line(error)}")
        self._registry.note(self._name, restarts=record.restarts + 1)
        if record.state is PluginState.READY:
            self._registry.move(self._name, PluginState.DEGRADED, reason=self._down[-1])
            self._crashes.changed()

    def resumed(self) -> None:
        """A task that had crashed runs again."""
        self._down.pop()
        if not self._down and self._registry[self._name].record.state is PluginState.DEGRADED:
            self._registry.move(self._name, PluginState.READY)
            self._crashes.changed()

    def exhausted(self, error: BaseException) -> None:
        """A task crashed once too often."""
        policy = self._crashes.policy
        failure = PluginError(
            f"a background task of plugin {self._name!r} crashed more than {policy.max_crashes} times within "
            f"{policy.window:g} s, last with {error_line(error)}. It is in quarantine: mend it, then "
            f"reload it",
            plugin=self._name,
        )
        failure.__cause__ = error
        self._crashes.give_up(self._name, failure)
