"""One hook call, step by step: the plain way, which every call could go.

Hot plans have a shorter way for calls in which nothing waits, fails or is measured; it must not be seen to do
anything else than this one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine, Generator
from types import CoroutineType
from typing import Any

from plughost.contracts.hooks import Outcome
from plughost.core.calls.faults import abort, goes_through, report_fault
from plughost.core.calls.plan import CallPlan, Step
from plughost.core.calls.watchdog import Watchdog

Wrapper = Generator[None, Any, Any]
Blocking = Callable[[Step, dict[str, Any]], Coroutine[Any, Any, Any]]
"""Runs a step in a worker thread."""


class Call:
    """One call of one hook.

    Args:
        plan: Who is called.
        values: The call's arguments, all of them; the call keeps and changes this dictionary.
        watchdog: Keeps the limits.
        block: Runs blocking steps.
        now: Tells the time when the call is to be measured; None when it is not.
    """

    __slots__ = ("_block", "_now", "_plan", "_values", "_watchdog", "gathering", "outcomes")

    def __init__(
        self,
        plan: CallPlan,
        values: dict[str, Any],
        watchdog: Watchdog,
        block: Blocking,
        now: Callable[[], float] | None = None,
    ) -> None:
        self._plan = plan
        self._values = values
        self._watchdog = watchdog
        self._block = block
        self._now = now
        self.gathering = plan.gather(values)
        self.outcomes: list[Outcome] = []

    async def run(self) -> Any:
        """Call everybody who is to be called and return the result."""
        if self._plan.wrappers:
            return await self._run_wrapped()
        await self._ask_from(0)
        return self.gathering.result()

    async def _ask_from(self, index: int) -> None:
        steps = self._plan.steps
        while index < len(steps):
            settled = await self._ask(steps[index])
            index += 1
            if settled:
                break
        if self._now is not None:
            self.outcomes.extend(Outcome(step.plugin, "skipped") for step in steps[index:])

    async def _ask(self, step: Step) -> bool:
        step.tally.calls += 1
        begun = self._now() if self._now else 0.0
        try:
            value = await self._answer(step)
            settled = self.gathering.take(value)
        except BaseException as error:
            self._fail(step, error, begun)
            return False
        if self._now:
            self._note(Outcome(step.plugin, "value", value, duration=self._now() - begun), step)
        return settled

    async def _answer(self, step: Step) -> Any:
        if step.kind == "blocking":
            return await self._watchdog.guard(self._block(step, self._values.copy()), step.limit)
        value = step.call(self._values)
        if type(value) is not CoroutineType:
            return value
        if self._plan.declaration.options.sync:
            value.close()
            raise TypeError("returned a coroutine, but the hook is called without await")
        return await self._watchdog.guard(value, step.limit)

    def _fail(self, step: Step, error: BaseException, begun: float) -> None:
        """Report a fault, or raise what is not the implementation's alone."""
        if goes_through(error):
            raise error
        kind, shown = report_fault(step, error)
        if self._now:
            self._note(Outcome(step.plugin, kind, error=shown, duration=self._now() - begun), step)
        if self._plan.declaration.options.on_error == "abort":
            abort(step, shown)
        self.gathering.lose()

    def _note(self, outcome: Outcome, step: Step) -> None:
        self.outcomes.append(outcome)
        step.tally.timings.observe(outcome.duration)

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
        step.tally.calls += 1
        begun = self._now() if self._now else 0.0
        try:
            wrapper = step.call(self._values)
            try:
                next(wrapper)
            except StopIteration:
                raise RuntimeError("the wrapper did not yield") from None
        except BaseException as error:
            self._fail(step, error, begun)
            return
        opened.append((step, wrapper))
        if self._now:
            self._note(Outcome(step.plugin, "value", duration=self._now() - begun), step)

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
            return self._close_failed(step, raised, result, error)
        with contextlib.suppress(Exception):
            wrapper.close()
        return self._close_failed(step, RuntimeError("the wrapper yielded twice"), result, error)

    def _close_failed(
        self, step: Step, raised: BaseException, result: Any, error: BaseException | None
    ) -> tuple[Any, BaseException | None]:
        try:
            self._fail(step, raised, self._now() if self._now else 0.0)
        except BaseException as through:
            if error is not None and goes_through(error) and not goes_through(through):
                return result, error
            return result, through
        return self.gathering.unwrap(result), error
