"""What follows from crashes of background tasks: degraded while one waits to be restarted, then quarantine."""

from __future__ import annotations

from collections.abc import Callable

from plughost.contracts.clock import Clock
from plughost.contracts.counting import counted
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
        quarantine: Called with the watch of the start that crashed and the error when the budget is spent.
    """

    def __init__(
        self,
        registry: PluginRegistry,
        policy: RestartPolicy,
        clock: Clock,
        changed: Callable[[], None],
        quarantine: Callable[[RunWatch, PluginError], None],
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

    def give_up(self, watch: RunWatch, error: PluginError) -> None:
        """Put a plugin in quarantine; should somebody reload it, it has a new budget."""
        self._budgets.pop(error.plugin, None)
        self._quarantine(watch, error)


class RunWatch:
    """Keeps the record of one start of one plugin true while its tasks crash and recover.

    Before the start is in service, and when another has taken its place, the record tells of somebody else.
    """

    def __init__(self, name: str, crashes: CrashWatch) -> None:
        self._name = name
        self._crashes = crashes
        self._registry = crashes.registry
        self._down: list[str] = []
        self._last_crash: PluginError | None = None
        self._in_service = False

    def became_ready(self) -> None:
        """The plugin became ready; it is degraded all the same when a task of it crashed before."""
        self._in_service = True
        if self._down:
            self._registry.move(self._name, PluginState.DEGRADED, reason=self._down[-1])
        if self._last_crash is not None:
            self._crashes.give_up(self, self._last_crash)

    def left_service(self) -> None:
        """It stops, or another start has taken its place."""
        self._in_service = False

    def crashed(self, error: BaseException) -> None:
        """A task crashed and will be restarted."""
        _log.warning("background task of plugin crashed", plugin=self._name, exc_info=error)
        self._is_down(f"a background task crashed and will be restarted: {error_line(error)}")

    def lost_process(self, error: PluginError) -> None:
        """Its process ended and will be begun anew."""
        _log.warning("process of plugin ended", plugin=self._name, reason=str(error))
        self._is_down(f"{error}; it is begun anew")

    def _is_down(self, reason: str) -> None:
        record = self._registry[self._name].record
        self._down.append(reason)
        self._registry.note(self._name, restarts=record.restarts + 1)
        if self._in_service and record.state is PluginState.READY:
            self._registry.move(self._name, PluginState.DEGRADED, reason=self._down[-1])
            self._crashes.changed()

    def resumed(self) -> None:
        """A task that had crashed runs again."""
        self._down.pop()
        degraded = self._registry[self._name].record.state is PluginState.DEGRADED
        if self._in_service and degraded and not self._down:
            self._registry.move(self._name, PluginState.READY)
            self._crashes.changed()

    def exhausted(self, error: BaseException) -> None:
        """A task crashed once too often."""
        self._give_up(f"a background task of plugin {self._name!r} crashed", error)

    def lost_process_too_often(self, error: PluginError) -> None:
        """Its process ended once too often."""
        self._give_up(f"the process of plugin {self._name!r} ended", error)

    def _give_up(self, what: str, error: BaseException) -> None:
        policy = self._crashes.policy
        self._last_crash = PluginError(
            f"{what} more than {counted(policy.max_crashes, 'time')} within {policy.window:g} s, "
            f"last with {error_line(error)}. It is in quarantine: mend it, then reload it",
            plugin=self._name,
        )
        self._last_crash.__cause__ = error
        if self._in_service:
            self._crashes.give_up(self, self._last_crash)
