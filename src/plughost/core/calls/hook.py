"""One declared hook: its present plan, and the functions by which it is called."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NoReturn

import anyio.from_thread
import pluggy
from anyio.lowlevel import EventLoopToken

from plughost.contracts.clock import Clock
from plughost.contracts.hooks import HookReport, Outcome, OutcomeKind
from plughost.core.calls.blocking import BlockingLane
from plughost.core.calls.declaration import Declaration
from plughost.core.calls.execute import Call
from plughost.core.calls.manager import Monitor
from plughost.core.calls.plan import CallPlan
from plughost.core.calls.shortcut import Shortcut, count_up_to, define, shortcut, waits_at
from plughost.core.calls.watchdog import Watchdog
from plughost.core.stepping import event_library, step_at_once
from plughost.exceptions import (
    HistoricHookError,
    HookCallError,
    HookError,
    HookTimeoutError,
    UnknownHookError,
)

Observer = Callable[[str], AbstractContextManager[object]]
"""Called with the name of a hook; returns what the call is to happen in."""

Tracer = Callable[[HookReport], None]
"""Told of each call of a hook when it is over, failed ones too."""

_UNOBSERVED: AbstractContextManager[object] = nullcontext()
_HOT = 64  # calls after which a plan has earned a short way


@dataclass(slots=True)
class Home:
    """Where a host runs, while it does.

    Attributes:
        token: Its event loop; None before and after.
        thread: The thread of that.
    """

    token: EventLoopToken | None = None
    thread: int = 0


@dataclass(frozen=True, slots=True)
class CallKit:
    """What all calls of one dispatcher share.

    Attributes:
        watchdog: Keeps the limits.
        lane: Runs blocking steps.
        clock: Measures durations.
        sample_every: One call in so many is timed on a hot plan.
        home: Where the host runs.
        monitors: Who watches calls by pluggy's own means.
        extend: Makes a plan with further implementations out of another.
    """

    watchdog: Watchdog
    lane: BlockingLane
    clock: Clock
    sample_every: int
    home: Home
    monitors: list[Monitor]
    extend: Callable[[CallPlan, Sequence[Any]], CallPlan]


class HookPoint:
    """Where the calls of one hook start.

    Attributes:
        name: Name of the hook.
        short: The short way of the present plan, once that is hot and if it has one.
        mask: On a hot plan a call is measured when these bits of its number are all zero.
        observer: Makes what each call happens in; see ``HookDispatcher.observe``.
        tracers: Are told of each call; see ``HookDispatcher.trace``.

    Args:
        plan: Who is called at first.
        kit: What all points of a dispatcher share.
    """

    __slots__ = (
        "_kit",
        "_lane",
        "_now",
        "_plan",
        "_watchdog",
        "mask",
        "name",
        "observer",
        "short",
        "tracers",
    )

    def __init__(self, plan: CallPlan, kit: CallKit) -> None:
        self.name = plan.declaration.name
        self.short: Shortcut | None = None
        self._plan: CallPlan | None = plan
        self._kit = kit
        self._watchdog = kit.watchdog
        self._lane = kit.lane
        self._now = kit.clock.monotonic
        self.mask = (1 << (kit.sample_every - 1).bit_length()) - 1
        self.observer: Observer | None = None
        self.tracers: tuple[Tracer, ...] = ()

    @property
    def plan(self) -> CallPlan:
        """Who is called now.

        Raises:
            UnknownHookError: The hook is not declared any more, and somebody held on to its function.
        """
        if self._plan is None:
            raise UnknownHookError(f"Nobody declares the hook {self.name!r} any more.", hook=self.name)
        return self._plan

    def change(self, plan: CallPlan | None) -> None:
        """Call by another plan from now on; None when the hook is not declared any more."""
        self._plan, self.short = plan, None

    async def call(self, values: dict[str, Any]) -> Any:
        """Call the hook the plain way; return its result."""
        plan = self.plan
        plan.traffic.entered += 1
        if plan.traffic.entered % _HOT == 0 and self.short is None:
            self._shorten(plan)
        try:
            return await self._run(plan, values)
        finally:
            plan.traffic.leave()

    async def report(self, values: dict[str, Any]) -> HookReport:
        """Call the hook the plain way; return what each implementation did."""
        plan = self.plan
        plan.traffic.entered += 1
        begun = self._now()
        try:
            outcomes: list[Outcome] = []
            result = await self._run(plan, values, outcomes)
            return HookReport(self.name, result, tuple(outcomes), self._now() - begun)
        finally:
            plan.traffic.leave()

    async def resume(self, short: Shortcut, run: Any, waiting: Any, values: list[Any]) -> Any:
        """Go on the plain way with a call that came to an implementation that waits; return its result."""
        number, coroutine, arguments = waits_at(run, short.plan)
        count_up_to(short.plan, number)
        call = Call(short.plan, arguments, self._watchdog, self._lane.run, self._now)
        for value in values:
            call.gathering.take(value)
        try:
            return await call.go_on(number, coroutine, waiting)
        finally:
            if inspect.getcoroutinestate(coroutine) != inspect.CORO_CLOSED:
                self._watchdog.unclosable.append(run)  # it would try to close it

    async def call_extra(self, methods: Sequence[Any], values: dict[str, Any]) -> Any:
        """Call the hook with further implementations for this once, as pluggy's ``call_extra``."""
        plan = self.plan
        plan.traffic.entered += 1
        extended = self._kit.extend(plan, methods)
        try:
            return await self._run(extended, values)
        finally:
            extended.settle()
            plan.traffic.leave()

    def from_here(self, values: dict[str, Any]) -> Any:
        """Call the hook without ``await``, from whichever thread; see ``SyncHookRelay``."""
        home = self._kit.home
        if self.plan.declaration.options.sync:
            return self.at_once(values)
        if home.token is None or home.thread == threading.get_ident():
            return step_at_once(self._without_waiting(values))
        return anyio.from_thread.run(self.call, values, token=home.token)

    async def _without_waiting(self, values: dict[str, Any]) -> Any:
        plan = self.plan
        plan.traffic.entered += 1
        try:
            return await self._run(plan, values, waits=False)
        finally:
            plan.traffic.leave()

    async def _run(
        self,
        plan: CallPlan,
        values: dict[str, Any],
        outcomes: list[Outcome] | None = None,
        *,
        waits: bool = True,
    ) -> Any:
        """Make a call the plain way, and tell the tracers what each implementation did, however it ends."""
        if not self.tracers:
            return await self._watched(plan, values, outcomes, waits=waits)
        outcomes = [] if outcomes is None else outcomes
        begun, result = self._now(), None
        try:
            result = await self._watched(plan, values, outcomes, waits=waits)
            return result
        except HookCallError as error:  # what stops the whole call never became an outcome
            kind: OutcomeKind = "timed_out" if isinstance(error, HookTimeoutError) else "error"
            outcomes.append(Outcome(error.plugin, kind, error=error, duration=self._now() - begun))
            raise
        finally:
            for tracer in self.tracers:
                tracer(HookReport(self.name, result, tuple(outcomes), self._now() - begun))

    async def _watched(
        self,
        plan: CallPlan,
        values: dict[str, Any],
        outcomes: list[Outcome] | None = None,
        *,
        waits: bool = True,
    ) -> Any:
        """Make a call the plain way, within what watches it."""
        call = Call(plan, values, self._watchdog, self._lane.run, self._now, outcomes, waits=waits)
        monitors = [*self._kit.monitors]
        with self._observed():
            if not monitors:
                return await call.run()
            impls = [*plan.source]
            for before, _ in reversed(monitors):
                before(self.name, impls, values)
            try:
                result = pluggy.Result(await call.run(), None)
            except BaseException as error:
                result = pluggy.Result(None, error)
            for _, after in monitors:
                after(result, self.name, impls, values)
            return result.get_result()

    def at_once(self, values: dict[str, Any], *, report: bool = False) -> Any:
        """Call a hook that is not awaited the plain way; nothing in it waits."""
        return step_at_once(self.report(values) if report else self.call(values))

    def _shorten(self, plan: CallPlan) -> None:
        """The plan has proven hot: write its short way."""
        short = shortcut(plan)
        watched = self.observer is not None or self._kit.monitors or self.tracers
        if plan is self._plan and not watched:  # nor replaced from another thread in the meantime
            self.short = short

    def _observed(self) -> AbstractContextManager[object]:
        return _UNOBSERVED if self.observer is None else self.observer(self.name)


def hook_function(point: HookPoint, declared: Declaration, caller: pluggy.HookCaller) -> Callable[..., Any]:
    """Return the function that is ``hooks.name``, with ``.report`` on it and what pluggy's own caller offers.

    It has the signature of the spec, with keywords only, so Python itself checks the arguments.
    """
    source = _SYNC if declared.options.sync else _ASYNC
    call, report = (
        _define(point, declared, name, text) for name, text in zip(("call", "report"), source, strict=True)
    )
    call = _refuses_plain_calls(declared) if declared.historic else call
    call.report = report

    def call_extra(methods: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        made = point.call_extra(methods, {**declared.defaults, **kwargs})
        return step_at_once(made) if declared.options.sync else made

    call.call_extra = call_extra
    return _with_face(call, caller)


def sync_hook_function(
    point: HookPoint, declared: Declaration, caller: pluggy.HookCaller
) -> Callable[..., Any]:
    """Return the function that is ``sync_hooks.name``."""
    call = _refuses_plain_calls(declared) if declared.historic else _define(point, declared, "call", _HERE)
    return _with_face(call, caller)


def _with_face(call: Any, caller: pluggy.HookCaller) -> Callable[..., Any]:
    call.spec = caller.spec
    for name in ("get_hookimpls", "has_spec", "is_historic", "call_historic"):
        setattr(call, name, getattr(caller, name))
    return call  # type: ignore[no-any-return]


def _refuses_plain_calls(declared: Declaration) -> Any:
    return refusing(
        HistoricHookError(
            f"hook {declared.name!r} is historic: plugins that come later are called too. Call it as "
            f"{declared.name}.call_historic(kwargs={{...}})",
            hook=declared.name,
        )
    )


def refusing(error: HookError) -> Any:
    """Return a function that stands where a hook would and says why it cannot be called."""

    def call(*_: object, **__: object) -> NoReturn:
        raise error.with_traceback(None)

    call.__name__ = call.__qualname__ = error.hook
    return call


_ASYNC = (
    """
async def {name}(*_positional{parameters}):
    if _positional:
        _refuse(_positional)
    _short = _point.short
    if _short is None or _short.traffic.entered & _mask == _mask or _library.name:
        return await _point.call({values})
    _traffic = _short.traffic
    _traffic.entered += 1
    try:
        _values = []
        _run = _short.run(_values{arguments})
        for _waiting in _run:
            return await _point.resume(_short, _run, _waiting, _values)
        {count}
        return {result}
    finally:
        _traffic.left += 1
        if _traffic.waiting:
            _traffic.wake()
""",
    """
async def {name}(*_positional{parameters}):
    if _positional:
        _refuse(_positional)
    return await _point.report({values})
""",
)

_SYNC = (
    """
def {name}(*_positional{parameters}):
    if _positional:
        _refuse(_positional)
    _short = _point.short
    if _short is None or _short.traffic.entered & _mask == _mask:
        return _point.at_once({values})
    _traffic = _short.traffic
    _traffic.entered += 1
    try:
        _values = []
        _short.run(_values{arguments})
        {count}
        return {result}
    finally:
        _traffic.left += 1
        if _traffic.waiting:
            _traffic.wake()
""",
    """
def {name}(*_positional{parameters}):
    if _positional:
        _refuse(_positional)
    return _point.at_once({values}, report=True)
""",
)

_HERE = """
def {name}(*_positional{parameters}):
    if _positional:
        _refuse(_positional)
    return _point.from_here({values})
"""

_RESULTS = {
    "broadcast": "None",
    "collect": "_values",
    "first": "_values[0] if _values else None",
    "waterfall": "_values[0]",
    "decide": "None",  # never on the short way
}


def _define(point: HookPoint, declared: Declaration, name: str, template: str) -> Any:
    source = template.format(
        name=name,
        parameters="".join(
            f", {each}=_defaults[{each!r}]" if each in declared.defaults else f", {each}"
            for each in declared.arguments
        )
        + (", **_more" if declared.foreign else ""),  # pluggy lets a caller say more than the spec names
        arguments="".join(f", {each}" for each in declared.arguments),
        values="{" + ", ".join(f"{each!r}: {each}" for each in declared.arguments) + "}",
        result=_RESULTS[declared.options.mode],
        count="pass" if declared.options.mode == "first" else "_traffic.passed += 1",
    )

    def refuse(positional: tuple[Any, ...]) -> NoReturn:
        example = ", ".join(f"{each}=..." for each in declared.arguments)
        raise TypeError(f"hooks are called with keyword arguments only: {declared.name}({example})")

    known = {
        "_point": point,
        "_refuse": refuse,
        "_defaults": declared.defaults,
        "_mask": point.mask,
        "_library": event_library,
    }
    function = define(name, source, known)
    function.__name__ = function.__qualname__ = declared.name
    function.__doc__ = declared.function.__doc__
    function.__module__ = declared.origin
    function.__signature__ = declared.signature
    return function
