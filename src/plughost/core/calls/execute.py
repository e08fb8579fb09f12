"""One hook call, step by step: the plain way, which every call could go.

Hot plans have a shorter way for calls in which nothing waits, fails or is measured; it must not be seen to do
anything else than this one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from types import CoroutineType
from typing import Any, NoReturn

from plughost.contracts.hooks import Outcome, OutcomeKind
from plughost.core.calls.faults import fail, goes_through
from plughost.core.calls.plan import CallPlan, Step
from plughost.core.calls.watchdog import Unwatched, Watch, Watchdog
from plughost.core.containment import stray
from plughost.core.stepping import Coro, event_library

Wrapper = Generator[None, Any, Any]
Blocking = Callable[[Step, dict[str, Any]], Coro]
"""Runs a step in a worker thread."""


def refuse_coroutine(coroutine: Coro) -> NoReturn:
    """Refuse what an implementation of a hook that is not awaited returned.

    Raises:
        TypeError: Always.
    """
    coroutine.close()
    raise TypeError("returned a coroutine, but the hook is called without await")


class Call:
    """One call of one hook.

    Args:
        plan: Who is called.
        values: The call's arguments, all of them; the call keeps and changes this dictionary.
        watchdog: Keeps the limits.
        block: Runs blocking steps.
        now: Tells the time, in seconds.
        outcomes: Where to put what each implementation did, for a report; None when nobody asks.
    """

    __slots__ = ("_block", "_now", "_outcomes", "_plan", "_values", "_watch", "_watchdog", "gathering")

    def __init__(
        self,
        plan: CallPlan,
        values: dict[str, Any],
        watchdog: Watchdog,
        block: Blocking,
        now: Callable[[], float],
        outcomes: list[Outcome] | None = None,
    ) -> None:
        self._plan = plan
        self._values = values
        self._watchdog = watchdog
        self._block = block
        self._now = now
        self.gathering = plan.gather(values)
        self._outcomes = outcomes
        self._watch: Watch | Unwatched | None = None

    async def run(self) -> Any:
        """Call everybody who is to be called and return the result."""
        try:
            if self._plan.wrappers:
                return await self._run_wrapped()
            await self._ask_from(0)
            return self.gathering.result()
        finally:
            if self._watch is not None:
                self._watch.end()

    async def go_on(self, number: int, coroutine: Coro, waiting: Any) -> Any:
        """Take over a call from the short way, which came to a step that waits; return the result."""
        step = self._plan.steps[number]
        begun = self._now()
        try:
            try:
                settled = self.gathering.take(await self._watching().hold(coroutine, waiting, step.limit))
            except BaseException as error:
                self._fail(step, error, begun)
                settled = False
            if not settled:
                await self._ask_from(number + 1)
            return self.gathering.result()
        finally:
            if self._watch is not None:
                self._watch.end()

    async def _ask_from(self, number: int) -> None:
        for step in self._plan.steps[number:]:
            number += 1
            step.tally.counted += 1
            begun = self._now()
            try:
                value = self._begin(step)
                if type(value) is CoroutineType:
                    value = await self._finish(value, step.limit)
                settled = self.gathering.take(value)
            except BaseException as error:
                self._fail(step, error, begun)
                continue
            self._note(step, "value", begun, value=value)
            if settled:
                break
        if self._outcomes is not None:
            self._outcomes.extend(Outcome(step.plugin, "skipped") for step in self._plan.steps[number:])

    async def _finish(self, coroutine: Coro, limit: float | None) -> Any:
        if limit is not None and event_library.name == "trio":
            return await self._watchdog.guard_by_scope(coroutine, limit)
        try:
            waiting = coroutine.send(None)
        except StopIteration as done:
            return done.value
        except GeneratorExit as error:  # its own: the caller's would come where it waits
            raise stray(error) from error
        return await self._watching().hold(coroutine, waiting, limit)

    def _watching(self) -> Watch | Unwatched:
        if self._watch is None:
            self._watch = self._watchdog.watch()
        return self._watch

    def _begin(self, step: Step) -> Any:
        if step.kind == "blocking":
            return self._block(step, self._values)
        try:
            value = step.call(self._values)
        except GeneratorExit as error:
            raise stray(error) from error
        if type(value) is CoroutineType and self._plan.declaration.options.sync:
            refuse_coroutine(value)
        return value

    def _fail(self, step: Step, error: BaseException, begun: float) -> None:
        kind, shown = fail(step, error)
        self._note(step, kind, begun, error=shown)
        self.gathering.lose()

    def _note(
        self,
        step: Step,
        kind: OutcomeKind,
        begun: float,
        *,
        value: Any = None,
        error: BaseException | None = None,
    ) -> None:
        duration = self._now() - begun
        step.tally.timings.observe(duration)
        if self._outcomes is not None:
            self._outcomes.append(Outcome(step.plugin, kind, value, error, duration))

    # wrappers, with pluggy's meaning: each yields once and is given the result or the exception

    async def _run_wrapped(self) -> Any:
        opened: list[tuple[Step, Wrapper]] = []
        result, error = None, None
        try:
            for step in self._plan.wrappers:
                self._open(step, opened)
            await self._ask_from(0)
            result = self.gathering.result()
        except BaseException as raised:
            error = raised
        for step, wrapper in reversed(opened):
            result, error = self._close(step, wrapper, result, error)
        if error is not None:
            raise error
        return result

    def _open(self, step: Step, opened: list[tuple[Step, Wrapper]]) -> None:
        step.tally.counted += 1
        begun = self._now()
        try:
            wrapper = step.call(self._values)
            try:
                next(wrapper)
            except StopIteration:
                raise RuntimeError("the wrapper did not yield") from None
        except BaseException as error:
            self._fail(step, stray(error) if isinstance(error, GeneratorExit) else error, begun)
            return
        opened.append((step, wrapper))
        self._note(step, "value", begun)

    def _close(
        self, step: Step, wrapper: Wrapper, result: Any, error: BaseException | None
    ) -> tuple[Any, BaseException | None]:
        """Give a wrapper the result or the exception; return both as it leaves them."""
        try:
            if error is None:
                wrapper.send(result)
            else:
                wrapper.throw(error)
        except StopIteration as returned:
            if error is not None and goes_through(error):
                return result, error  # a refusal or a cancellation is not a wrapper's to swallow
            return self.gathering.rewrap(result, returned.value), None
        except BaseException as raised:
            if raised is error:
                return result, error
            own = stray(raised) if isinstance(raised, GeneratorExit) else raised
            return self._close_failed(step, own, result, error)
        with contextlib.suppress(Exception):
            wrapper.close()
        return self._close_failed(step, RuntimeError("the wrapper yielded twice"), result, error)

    def _close_failed(
        self, step: Step, raised: BaseException, result: Any, error: BaseException | None
    ) -> tuple[Any, BaseException | None]:
        try:
            self._fail(step, raised, self._now())
        except BaseException as through:
            if error is not None and goes_through(error) and not goes_through(through):
                return result, error
            return result, through
        return self.gathering.unwrap(result), error
