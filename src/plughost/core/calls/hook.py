"""The callable that stands for one hook in ``host.hooks``."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
from anyio.lowlevel import current_token

from plughost.contracts.clock import Clock
from plughost.contracts.hooks import HookReport
from plughost.core.calls.declaration import Declaration
from plughost.core.calls.execute import Call
from plughost.core.calls.plan import CallPlan, Step
from plughost.core.calls.watchdog import Watchdog
from plughost.core.threads import run_in_daemon_thread
from plughost.exceptions import did_you_mean


class Threads:
    """Runs blocking implementations, a bounded number at once on each event loop."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._limiters: weakref.WeakKeyDictionary[object, anyio.CapacityLimiter] = weakref.WeakKeyDictionary()

    def run(self, step: Step, values: dict[str, Any]) -> Coroutine[Any, Any, Any]:
        """Call a step in a worker thread."""
        loop = current_token().native_token
        limiter = self._limiters.get(loop)
        if limiter is None:
            limiter = self._limiters[loop] = anyio.CapacityLimiter(self._at_once)
        work = functools.partial(step.call, values)
        return run_in_daemon_thread(work, limiter=limiter, name=f"plughost {step.plugin}.{step.hook}")


class HookPoint:
    """One declared hook: its present plan, and the ways to call it."""

    def __init__(
        self, plan: CallPlan, watchdog: Watchdog, threads: Threads, clock: Clock, every: int
    ) -> None:
        self.plan = plan
        self._watchdog = watchdog
        self._threads = threads
        self._now = clock.monotonic
        self._every = every

    def arguments(self, positional: tuple[Any, ...], given: dict[str, Any]) -> dict[str, Any]:
        """Return the values of all arguments of a call.

        Raises:
            TypeError: Something is positional, missing or unknown.
        """
        declared = self.plan.declaration
        if positional:
            raise TypeError(
                f"{declared.name}() takes keyword arguments only: {declared.name}({_example(declared)})"
            )
        values = {**declared.defaults, **given}
        if values.keys() != set(declared.arguments):
            raise TypeError(_mismatch(declared, values))
        return values

    async def call(self, values: dict[str, Any]) -> Any:
        """Call the hook; return its result."""
        plan = self.plan
        plan.traffic.entered += 1
        timed = self._now if plan.traffic.entered % self._every == 0 else None
        try:
            return await Call(plan, values, self._watchdog, self._threads.run, timed).run()
        finally:
            plan.traffic.leave()

    async def report(self, values: dict[str, Any]) -> HookReport:
        """Call the hook; return what each implementation did."""
        plan = self.plan
        plan.traffic.entered += 1
        begun = self._now()
        try:
            call = Call(plan, values, self._watchdog, self._threads.run, self._now)
            result = await call.run()
            return HookReport(plan.declaration.name, result, tuple(call.outcomes), self._now() - begun)
        finally:
            plan.traffic.leave()


def hook_function(point: HookPoint) -> Callable[..., Any]:
    """Return the function that is ``hooks.name``, with ``.report`` on it."""

    def call(*args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        return point.call(point.arguments(args, kwargs))

    def report(*args: Any, **kwargs: Any) -> Coroutine[Any, Any, HookReport]:
        return point.report(point.arguments(args, kwargs))

    if point.plan.declaration.options.sync:
        return _dressed(point, _at_once(call), _at_once(report))
    return _dressed(point, call, report)


def _dressed(point: HookPoint, call: Any, report: Any) -> Callable[..., Any]:
    call.__name__ = point.plan.declaration.name
    call.__doc__ = point.plan.declaration.function.__doc__
    call.report = report
    return call  # type: ignore[no-any-return]


def _at_once(begin: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        coroutine = begin(*args, **kwargs)
        try:
            coroutine.send(None)
        except StopIteration as done:
            return done.value
        raise AssertionError("a hook without await waited")  # registration and Call see to it

    return run


def _example(declared: Declaration) -> str:
    return ", ".join(f"{name}=..." for name in declared.arguments)


def _mismatch(declared: Declaration, values: dict[str, Any]) -> str:
    missing = [name for name in declared.arguments if name not in values]
    if missing:
        return (
            f"{declared.name}() misses {', '.join(map(repr, missing))}: {declared.name}({_example(declared)})"
        )
    unknown = next(name for name in values if name not in declared.arguments)
    known = ", ".join(declared.arguments) or "none"
    hint = did_you_mean(unknown, declared.arguments)
    return f"{declared.name}() has no argument {unknown!r}; its arguments are: {known}.{hint}"
