"""One declared hook: its present plan, and the functions by which it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn

import msgspec
import pluggy
from anyio.lowlevel import EventLoopToken

from plughost.contracts.clock import Clock
from plughost.contracts.hooks import HookReport, Outcome, OutcomeKind
from plughost.core.calls.blocking import BlockingLane
from plughost.core.calls.declaration import Declaration
from plughost.core.calls.execute import Call
from plughost.core.calls.faults import as_raised
from plughost.core.calls.given import arguments_given
from plughost.core.calls.here import Here, Home
from plughost.core.calls.manager import Monitor
from plughost.core.calls.plan import CallPlan
from plughost.core.calls.shortcut import Shortcut, count_up_to, shortcut, waits_at
from plughost.core.calls.watchdog import Watchdog
from plughost.core.calls.wrapping import Around
from plughost.core.calls.writing import ASYNC, HERE, SYNC, call_function
from plughost.core.importing import is_importing
from plughost.core.other_loop import call_there
from plughost.core.stepping import Coro, event_library, step_at_once
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


class CallKit(msgspec.Struct, frozen=True):
    """What all calls of one dispatcher share.

    Attributes:
        watchdog: Keeps the limits.
        lane: Runs blocking steps.
        clock: Measures durations.
        sample_every: One call in so many is timed on a hot plan.
        here: Deals with implementations that wait, in calls that may not.
        monitors: Who watches calls by pluggy's own means.
        extend: Makes a plan with further implementations out of another.
    """

    watchdog: Watchdog
    lane: BlockingLane
    clock: Clock
    sample_every: int
    here: Here
    monitors: list[Monitor]
    extend: Callable[[CallPlan, Sequence[Any]], CallPlan]


class HookPoint:
    """Where the calls of one hook start.

    Attributes:
        name: Name of the hook.
        short: The short way of the present plan, once that is hot, if it has one and nobody watches its calls.
        wrapped: The same of a plan with wrappers, apart from it: a look at them would cost those that have none.
        here: The short way of calls without ``await``, of a plan without wrappers.
        mask: On a hot plan a call is measured when these bits of its number are all zero.
        observer: Makes what each call happens in; see ``HookDispatcher.observe``.
        tracers: Are told of each call; see ``HookDispatcher.trace``.

    Args:
        plan: Who is called at first.
        kit: What all points of a dispatcher share.
    """

    __slots__ = (
        "_hot",
        "_hot_here",
        "_kit",
        "_lane",
        "_now",
        "_plan",
        "_watchdog",
        "here",
        "mask",
        "name",
        "observer",
        "short",
        "tracers",
        "wrapped",
    )

    def __init__(self, plan: CallPlan, kit: CallKit) -> None:
        self.name = plan.declaration.name
        self.short: Shortcut | None = None
        self.wrapped: Shortcut | None = None
        self.here: Shortcut | None = None
        self._hot: Shortcut | None = None
        self._hot_here: Shortcut | None = None
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
            raise UnknownHookError(f"nobody declares the hook {self.name!r} any more", hook=self.name)
        return self._plan

    def change(self, plan: CallPlan | None) -> None:
        """Call by another plan from now on; None when the hook is not declared any more."""
        self._plan, self.short, self.wrapped, self._hot = plan, None, None, None
        self.here = self._hot_here = None

    @property
    def home(self) -> Home:
        """Where the host runs."""
        return self._kit.here.home

    def watch(self, observer: Observer | None, tracers: tuple[Tracer, ...]) -> None:
        """Let calls happen in what ``observer`` makes, and tell ``tracers`` of them, from now on."""
        self.observer, self.tracers = observer, tracers
        self.choose()

    def choose(self) -> None:
        """See whether calls may go the short way without a look at who watches them."""
        unwatched = self.observer is None and not self.tracers and not self._kit.monitors
        hot = self._hot if unwatched else None
        wrapped = hot is not None and bool(hot.wrappers)
        self.short, self.wrapped = (None, hot) if wrapped else (hot, None)
        self.here = self._hot_here if unwatched else None

    async def call(self, values: dict[str, Any]) -> Any:
        """Call the hook; return its result.

        Calls come here while the plan is cold, when they are to be measured, and when somebody watches them.
        """
        plan = self.plan
        traffic = plan.traffic
        traffic.entered += 1
        try:
            if traffic.entered % _HOT == 0:
                self._shorten(plan)
            hot = self._hot
            measured = not traffic.entered & self.mask or self.tracers or self._kit.monitors
            if hot is None or hot.plan is not plan or measured or event_library.name:
                return await self._run(plan, values)
            with self._observed():
                # Make a call the short way that came here nevertheless
                arguments = tuple(values[name] for name in hot.plan.declaration.arguments)
                found = hot.fresh()
                if hot.plan.declaration.options.sync:
                    return self.around_at_once(hot, found, arguments)
                return await self.around(hot, found, arguments)
        finally:
            traffic.leave()

    async def around(self, hot: Shortcut, found: Any, arguments: tuple[Any, ...]) -> Any:
        """Make a call the short way, with the wrappers around it; ``found`` takes the results."""
        around, fail = Around(hot.rules or found), hot.fail_into(found)
        result: Any = None
        error: BaseException | None = None
        passed = False
        try:
            for step, call in hot.wrappers:
                around.open(step, fail, call, *arguments)
            run = hot.run(found, *arguments)
            for waiting in run:
                result = await self.resume(hot, run, waiting, found)
                break
            else:
                result, passed = hot.result(found), True
        except BaseException as raised:
            error = as_raised(raised)
        hot.count(passed, around.tried)
        return around.close(result, error, fail)

    def around_at_once(self, hot: Shortcut, found: Any, arguments: tuple[Any, ...]) -> Any:
        """The same for a hook that is not awaited."""
        around, fail = Around(hot.rules or found), hot.fail_into(found)
        result: Any = None
        error: BaseException | None = None
        passed = False
        try:
            for step, call in hot.wrappers:
                around.open(step, fail, call, *arguments)
            hot.run(found, *arguments)
            result, passed = hot.result(found), True
        except BaseException as raised:
            error = raised
        hot.count(passed, around.tried)
        return around.close(result, error, fail)

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

    def resume(self, short: Shortcut, run: Any, waiting: Any, values: Any) -> Coro:
        """Go on the plain way with a call that came to an implementation that waits; await its result."""
        number, coroutine, arguments = waits_at(run, short.plan.declaration.arguments)
        count_up_to(short.plan, number)
        call = Call(short.plan, arguments, self._watchdog, self._lane.run, self._now)
        if isinstance(values, list):
            for value in values:
                call.gathering.take(value)
        else:
            call.gathering = values
        return call.go_on(number, coroutine, waiting, run)

    async def call_extra(
        self, methods: Sequence[Any], values: dict[str, Any], *, here: Here | None = None
    ) -> Any:
        """Call the hook with further implementations for this once, as pluggy's ``call_extra``."""
        plan = self.plan
        plan.traffic.entered += 1
        extended = self._kit.extend(plan, methods) if methods else plan
        try:
            return await self._run(extended, values, here=here)
        finally:
            if methods:
                extended.settle()
            plan.traffic.leave()

    def from_here(self, values: dict[str, Any]) -> Any:
        """Call the hook without ``await``, from whichever thread; see ``SyncHookRelay``.

        Whoever calls in the midst of an import may hold the lock of a module that an implementation imports, too, so
        all of it happens in that thread.
        """
        if self.plan.declaration.options.sync:
            return self.at_once(values)
        away = self._away
        return (
            _here_and_now(self._without_waiting(values))
            if away is None
            else call_there(away, self.call, values)
        )

    def extra_from_here(self, methods: Sequence[Any], values: dict[str, Any]) -> Any:
        """Do without ``await`` what ``call_extra`` does, from whichever thread."""
        away = self._away
        if away is None:
            return _here_and_now(self.call_extra(methods, values, here=self._kit.here))
        return call_there(away, self.call_extra, methods, values)

    @property
    def _away(self) -> EventLoopToken | None:
        """The event loop on which a call without ``await`` is made; None when it is made in the caller's thread."""
        declared = self.plan.declaration
        return None if declared.options.sync or declared.foreign or is_importing() else self.home.elsewhere

    async def _without_waiting(self, values: dict[str, Any]) -> Any:
        plan = self.plan
        plan.traffic.entered += 1
        try:
            if plan.traffic.entered % _HOT == 0 and not plan.wrappers:
                self._shorten(plan, self._kit.here)
            return await self._run(plan, values, here=self._kit.here)
        finally:
            plan.traffic.leave()

    async def _run(
        self,
        plan: CallPlan,
        values: dict[str, Any],
        outcomes: list[Outcome] | None = None,
        *,
        here: Here | None = None,
    ) -> Any:
        """Make a call the plain way, and tell the tracers what each implementation did, however it ends."""
        if outcomes is None and self.tracers:
            outcomes = []
        if outcomes is None or not self.tracers:
            return await self._watched(plan, values, outcomes, here)
        begun, result = self._now(), None
        try:
            result = await self._watched(plan, values, outcomes, here)
            return result
        except HookCallError as error:  # what stops the whole call never became an outcome
            kind: OutcomeKind = "timed_out" if isinstance(error, HookTimeoutError) else "error"
            outcomes.append(Outcome(error.plugin, kind, error=error, duration=self._now() - begun))
            raise
        finally:
            for tracer in self.tracers:
                tracer(HookReport(self.name, result, tuple(outcomes), self._now() - begun))

    async def _watched(
        self, plan: CallPlan, values: dict[str, Any], outcomes: list[Outcome] | None, here: Here | None
    ) -> Any:
        """Make a call the plain way, within what watches it."""
        monitors = [*self._kit.monitors]
        with self._observed():
            call = Call(plan, values, self._watchdog, self._lane.run, self._now, outcomes, here=here)
            if not monitors:
                return await call.run()
            impls = [*plan.source]
            for before, _ in reversed(monitors):
                before(self.name, impls, values)
            try:
                result = pluggy.Result(await call.run(), None)
            except BaseException as error:
                result = pluggy.Result(None, as_raised(error))
            for _, after in monitors:
                after(result, self.name, impls, values)
            return result.get_result()

    def at_once(self, values: dict[str, Any], *, report: bool = False) -> Any:
        """Call a hook that is not awaited the plain way; nothing in it waits."""
        return step_at_once(self.report(values) if report else self.call(values))

    def _shorten(self, plan: CallPlan, here: Here | None = None) -> None:
        """The plan has proven hot: write its short way, or with ``here`` that of calls without ``await``."""
        hot = (self._hot if here is None else self._hot_here) or shortcut(plan, here)
        if plan is not self._plan:  # replaced from another thread in the meantime
            return
        if here is None:
            self._hot = hot
        else:
            self._hot_here = hot
        self.choose()

    def _observed(self) -> AbstractContextManager[object]:
        return _UNOBSERVED if self.observer is None else self.observer(self.name)


def _here_and_now(call: Coro) -> Any:
    """Make a call that does not wait; what comes out of an implementation comes out as it is."""
    try:
        return step_at_once(call)
    except RuntimeError as error:
        raised = as_raised(error)
        if raised is error:
            raise
    raise raised


def hook_function(point: HookPoint, declared: Declaration, caller: pluggy.HookCaller) -> Callable[..., Any]:
    """Return the function that is ``hooks.name``, with ``.report`` on it and what pluggy's own caller offers.

    It has the signature of the spec, with keywords only, so Python itself checks the arguments.
    """
    source = SYNC if declared.options.sync else ASYNC
    call, report = (
        call_function(point, declared, name, text)
        for name, text in zip(("call", "report"), source, strict=True)
    )
    call = _refuses_plain_calls(declared) if declared.historic else call
    call.report = report

    def call_extra(methods: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        made = point.call_extra(methods, arguments_given(declared, kwargs))
        return step_at_once(made) if declared.options.sync else made

    return _with_face(call, declared, caller, call_extra)


def sync_hook_function(
    point: HookPoint, declared: Declaration, caller: pluggy.HookCaller
) -> Callable[..., Any]:
    """Return the function that is ``sync_hooks.name``."""
    call = (
        _refuses_plain_calls(declared)
        if declared.historic
        else call_function(point, declared, "call", SYNC[0] if declared.options.sync else HERE)
    )

    def call_extra(methods: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        return point.extra_from_here(methods, arguments_given(declared, kwargs))

    return _with_face(call, declared, caller, call_extra)


def _with_face(
    call: Any, declared: Declaration, caller: pluggy.HookCaller, call_extra: Callable[..., Any]
) -> Callable[..., Any]:
    call.call_extra = _refuses_plain_calls(declared) if declared.historic else call_extra
    for name in ("name", "spec", "get_hookimpls", "has_spec", "is_historic", "call_historic"):
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
