"""What is known of every plugin: the only mutable list of them. Others get frozen records."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, fields
from itertools import repeat
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

import msgspec

from plughost._dataclasses import dataclass
from plughost.contracts.error_text import error_lines, error_text, error_type_name
from plughost.contracts.frozen import frozen
from plughost.contracts.records import (
    RUNNING_STATES,
    PluginFailure,
    PluginRecord,
    PluginState,
    PluginStateChanged,
    PluginTimings,
)
from plughost.core.calls.visits import Visits
from plughost.core.config.paths import match_name
from plughost.core.finding.discovery import PluginCandidate
from plughost.core.late_event import LateEvent
from plughost.core.loading.ledger import Ledger
from plughost.core.loading.loader import ImportedPlugin
from plughost.core.loading.ordering import Needs
from plughost.core.loading.supervisor import Supervisor
from plughost.exceptions import PluginCrashedError, PluginError, PluginNotFoundError, StrayError, did_you_mean

_TRACEBACK_LINES = 12


class ReadyWatch(Protocol):
    """Who is told that a start succeeded."""

    def became_ready(self) -> None:
        """The plugin is ready."""

    def left_service(self) -> None:
        """It is not any more."""

    def lost_process(self, error: PluginError) -> None:
        """Its process ended and will be begun anew."""

    def lost_process_too_often(self, error: PluginError) -> None:
        """Its process ended once too often."""


@dataclass(slots=True)
class Run:
    """One start of one plugin, from the moment its ``start`` is called.

    Attributes:
        visits: The requests under way at its routes.
    """

    plugin: ImportedPlugin
    supervisor: Supervisor
    ledger: Ledger
    watch: ReadyWatch
    config: Any = field(default=None, repr=False)
    visits: Visits = field(default_factory=Visits, repr=False)


class RegisteredPlugin(msgspec.Struct):
    """One plugin's place in the registry.

    Attributes:
        candidate: What was found.
        record: What everybody may see.
        settled: Set when the plugin is ready, or never will be in this load.
        run: Its present start, while there is one.
        config_class: Its ``Config`` when it was imported last; None when it declares none.
        imported: Whether it ever was.
    """

    candidate: PluginCandidate
    record: PluginRecord
    settled: LateEvent = msgspec.field(default_factory=LateEvent)
    run: Run | None = None
    config_class: Any = None
    imported: bool = False

    @property
    def running(self) -> bool:
        """Whether its hooks are called and its services are there."""
        return self.record.state in RUNNING_STATES


class PluginRegistry(Mapping[str, RegisteredPlugin]):
    """Plugins by name. A change of state leaves a notice, which ``notices`` hands out once.

    Attributes:
        ready_order: Names of the plugins that became ready, in that order; dependencies come first.
    """

    def __init__(self) -> None:
        self._entries: dict[str, RegisteredPlugin] = {}
        self._notices: deque[PluginStateChanged] = deque()
        self.ready_order: list[str] = []

    def __getitem__(self, name: str) -> RegisteredPlugin:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, name: str) -> RegisteredPlugin:
        """Return the entry of that name.

        Raises:
            PluginNotFoundError: Not found.
        """
        try:
            return self._entries[match_name(name, self._entries)]
        except KeyError:
            raise PluginNotFoundError(
                f"there is no plugin {name!r}.{did_you_mean(name, self)} `plughost list` shows all",
                plugin=name,
            ) from None

    def add(self, candidate: PluginCandidate) -> RegisteredPlugin:
        """Enter a candidate, in the state its verdict says; replaces an earlier entry of that name.

        Its configuration is not shown yet: only its ``Config`` says which values are secret.
        """
        needs = Needs.said(candidate.card.requires, candidate.card.after)
        record = PluginRecord(
            name=candidate.name,
            version=candidate.finding.version,
            distribution=candidate.finding.distribution,
            source=candidate.finding.source,
            origin=candidate.finding.origin,
            state=candidate.verdict,
            reason=candidate.reason,
            error=failure_of(candidate.error),
            requires=needs.requires,
            after=needs.after,
            required=candidate.wish.required,
            generation=self._entries[candidate.name].record.generation
            if candidate.name in self._entries
            else 0,
        )
        earlier = self._entries.get(candidate.name)
        entry = self._entries[candidate.name] = RegisteredPlugin(candidate, record)
        if earlier is not None and not earlier.settled.is_set():
            entry.settled = earlier.settled  # somebody may be waiting for it
        if not candidate.wanted:
            entry.settled.set()
            if candidate.error is not None:
                self._notices.append(PluginStateChanged(record, PluginState.DISCOVERED))
        return entry

    def move(
        self,
        name: str,
        state: PluginState,
        *,
        took: Mapping[str, float | None] = MappingProxyType({}),
        reason: str = "",
        error: PluginFailure | None = None,
        **changes: Any,
    ) -> PluginRecord:
        """Put a plugin into another state. What is not named in ``changes`` stays.

        Args:
            name: The plugin.
            state: Its new state.
            took: Seconds that phases took, by their names in ``PluginTimings``.
            reason: Why, in one sentence; empty when there is nothing to say.
            error: The failure that put it there.
            changes: Other fields of its record.
        """
        entry = self._entries[name]
        previous = entry.record.state
        self.note(name, took=took, reason=reason, error=error, state=state, **changes)
        self._notices.append(PluginStateChanged(entry.record, previous))
        if previous is PluginState.STARTING and state is PluginState.READY:
            if name in self.ready_order:
                self.ready_order = [other for other in self.ready_order if other != name]
            self.ready_order = [*self.ready_order, name]
        return entry.record

    def note(
        self, name: str, *, took: Mapping[str, float | None] = MappingProxyType({}), **changes: Any
    ) -> PluginRecord:
        """Change what is said of a plugin without changing its state; see ``move``."""
        entry = self._entries[name]
        if took:
            changes["timings"] = _changed(entry.record.timings, took)
        entry.record = _changed(entry.record, changes)
        return entry.record

    def fail(self, name: str, error: PluginError, state: PluginState = PluginState.FAILED) -> PluginRecord:
        """Put a plugin into a state of failure, and settle it."""
        record = self.move(name, state, reason=error_text(error), error=failure_of(error))
        self._entries[name].settled.set()
        return record

    def remove(self, name: str) -> None:
        """Take a plugin out that does not run and is nowhere to be found any more."""
        del self._entries[name]
        self.ready_order = [other for other in self.ready_order if other != name]

    def notices(self) -> Iterator[PluginStateChanged]:
        """Hand out the changes nobody was told of yet, oldest first."""
        while self._notices:
            yield self._notices.popleft()


_R = TypeVar("_R", PluginRecord, PluginTimings)


def _changed(record: _R, changes: Mapping[str, Any]) -> _R:
    """Return what ``dataclasses.replace`` would, in a tenth of its steps: what stays was frozen once already."""
    kind = type(record)
    names, values_of = _FIELDS[kind]
    values = dict(zip(names, values_of(record), strict=True))
    values.update(changes)
    for name in _HOLDING & changes.keys():
        values[name] = frozen(values[name])
    made = object.__new__(kind)
    _do_all(map(object.__setattr__, repeat(made), values, values.values()))
    return made


_HOLDING = frozenset({"requires", "after", "hooks", "config", "status"})
"""Fields whose value may hold what can be changed, and is frozen when it comes in."""

_FIELDS: dict[type[Any], tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]] = {
    kind: (names, attrgetter(*names))
    for kind in (PluginRecord, PluginTimings)
    for names in [tuple(each.name for each in fields(kind))]
}
_do_all = deque[None](maxlen=0).extend
"""Takes everything out of an iterator without a step of Python for each."""


def failure_of(error: PluginError | None) -> PluginFailure | None:
    """Return the error as data that survives it; holding the exception itself would hold its frames."""
    if error is None:
        return None
    cause = error.__cause__ or error
    if isinstance(cause, StrayError):
        cause = cause.__cause__ or cause
    lines = error_lines(cause) if cause.__traceback__ is not None else []
    if isinstance(cause, PluginCrashedError) and cause.stack:
        lines = cause.stack.splitlines(keepends=True)[:_TRACEBACK_LINES]
    last = lines[-_TRACEBACK_LINES:]
    frames = [number for number, line in enumerate(last) if line.startswith("  File ")]
    if len(lines) > len(last) and frames:
        last = last[frames[0] :]  # the end of a frame whose beginning is cut off puzzles
    return PluginFailure(
        phase=error.phase,
        kind=error_type_name(error),
        message=error_text(error),
        limit=getattr(error, "limit", None),
        traceback="".join(last),
    )
