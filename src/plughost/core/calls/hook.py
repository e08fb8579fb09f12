"""One declared hook: its present plan, and the functions by which it is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn

from plughost.contracts.clock import Clock
from plughost.contracts.hooks import HookReport, Outcome
from plughost.core.calls.blocking import BlockingLane
from plughost.core.calls.declaration import Declaration
from plughost.core.calls.execute import Call
from plughost.core.calls.plan import CallPlan
from plughost.core.calls.shortcut import Shortcut, count_up_to, define, shortcut, waits_at
from plughost.core.calls.watchdog import Watchdog
from plughost.core.stepping import event_library, step_at_once
from plughost.exceptions import UnknownHookError

Observer = Callable[[str], AbstractContextManager[object]]
"""Called with the name of a hook; returns what the call is to happen in."""

_UNOBSERVED: AbstractContextManager[object] = nullcontext()
_HOT = 64  # calls after which a plan has earned a short way


class HookPoint:
    """Where the calls of one hook start.

    Attributes:
        name: Name of the hook.
        short: The short way of the present plan, once that is hot and if it has one.
        mask: On a hot plan a call is measured when these bits of its number are all zero.
        observer: Makes what each call happens in; see ``HookDispatcher.observe``.
    """

    __slots__ = ("_lane", "_now", "_plan", "_watchdog", "mask", "name", "observer", "short")

    def __init__(
        self, plan: CallPlan, watchdog: Watchdog, lane: BlockingLane, clock: Clock, every: int
    ) -> None:
        self.name = plan.declaration.name
        self.short: Shortcut | None = None
        self._plan: CallPlan | None = plan
        self._watchdog = watchdog
        self._lane = lane
        self._now = clock.monotonic
        self.mask = (1 << (every - 1).bit_length()) - 1
        self.observer: Observer | None = None

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
            with self._observed():
                return await Call(plan, values, self._watchdog, self._lane.run, self._now).run()
        finally:
            plan.traffic.leave()

    async def report(self, values: dict[str, Any]) -> HookReport:
        """Call the hook the plain way; return what each implementation did."""
        plan = self.plan
        plan.traffic.entered += 1
        begun = self._now()
        try:
            outcomes: list[Outcome] = []
            with self._observed():
                result = await Call(plan, values, self._watchdog, self._lane.run, self._now, outcomes).run()
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

    def at_once(self, values: dict[str, Any], *, report: bool = False) -> Any:
        """Call a hook that is not awaited the plain way; nothing in it waits."""
        return step_at_once(self.report(values) if report else self.call(values))

    def _shorten(self, plan: CallPlan) -> None:
        """The plan has proven hot: write its short way."""
        short = shortcut(plan)
        if plan is self._plan and self.observer is None:  # nor replaced from another thread in the meantime
            self.short = short

    def _observed(self) -> AbstractContextManager[object]:
        return _UNOBSERVED if self.observer is None else self.observer(self.name)


def hook_function(point: HookPoint, declared: Declaration) -> Callable[..., Any]:
    """Return the function that is ``hooks.name``, with ``.report`` on it.

    It has the signature of the spec, with keywords only, so Python itself checks the arguments.
    """
    source = _SYNC if declared.options.sync else _ASYNC
    call, report = (
        _define(point, declared, name, text) for name, text in zip(("call", "report"), source, strict=True)
    )
    call.report = report
    return call  # type: ignore[no-any-return]


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
        ),
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
