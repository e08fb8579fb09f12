"""One hook call, step by step: the plain way, which every call could go.

Hot plans have a shorter way for calls in which nothing waits, fails or is measured; it must not be seen to do
anything else than this one.
"""

from __future__ import annotations

import inspect
import types
from asyncio import Future
from collections.abc import Callable, Generator
from functools import partial
from types import CoroutineType
from typing import Any, NoReturn

from plughost.contracts.hooks import Outcome, OutcomeKind
from plughost.core.calls.faults import as_raised, fail
from plughost.core.calls.given import Given
from plughost.core.calls.here import Here
from plughost.core.calls.observing import Observed, refusal_text, verdict_text
from plughost.core.calls.plan import CallPlan, Step
from plughost.core.calls.together import together
from plughost.core.calls.watchdog import Unwatched, Watch, Watchdog
from plughost.core.calls.wrapping import Around
from plughost.core.containment import stray
from plughost.core.stepping import Coro
from plughost.exceptions import Refused

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
        here: What deals with implementations that wait, when the call itself may not.
    """

    __slots__ = (
        "_block",
        "_here",
        "_now",
        "_outcomes",
        "_plan",
        "_values",
        "_watch",
        "_watchdog",
        "gathering",
    )

    def __init__(
        self,
        plan: CallPlan,
        values: dict[str, Any],
        watchdog: Watchdog,
        block: Blocking,
        now: Callable[[], float],
        outcomes: list[Outcome] | None = None,
        *,
        here: Here | None = None,
    ) -> None:
        if plan.declaration.foreign and type(values) is not Given:
            values = Given(values)  # somebody may ask for more than the spec names
        self._plan = plan
        self._values = values
        self._watchdog = watchdog
        self._block = block
        self._now = now
        self.gathering = plan.gather(values)
        self._outcomes = outcomes
        self._here = here
        self._watch: Watch | Unwatched | None = None

    async def run(self) -> Any:
        """Call everybody who is to be called and return the result."""
        try:
            if self._plan.wrappers:
                around = Around(self.gathering)
                result, error = None, None
                try:
                    for step in self._plan.wrappers:
                        step.tally.counted += 1
                        begun = self._now()
                        fail = partial(self._fail, begun=begun)
                        if around.open(step, fail, step.call, self._values):
                            self._note(step, "value", begun)
                    await self._ask_all()
                    result = self.gathering.result()
                except BaseException as raised:
                    error = as_raised(raised)
                return around.close(result, error, lambda step, raised: self._fail(step, raised, self._now()))
            await self._ask_all()
            return self.gathering.result()
        finally:
            if self._watch is not None:
                self._watch.end()

    @types.coroutine
    def go_on(self, number: int, coroutine: Coro, waiting: Any, run: object) -> Generator[Any, Any, Any]:  # noqa: C901
        """Take over a call from the short way, ``run``, which came to a step that waits; return the result.

        As on the short way nothing is measured: the calls that are go the plain way from the beginning. It is
        written out, because each call in it would cost every implementation that waits.
        """
        watch, gathering, fit, given = self._watching(), self.gathering, self._plan.fit, self._values
        value: Any = coroutine
        try:
            for step in self._plan.steps[number:]:
                waits, is_held, thrown = value is coroutine, False, None
                try:
                    try:
                        if not waits:
                            step.tally.counted += 1
                            value = step.call(given) if step.sole is None else step.function(given[step.sole])
                            if waits := type(value) is CoroutineType:
                                waiting = value.send(None)
                        if waits:
                            watch.lay_down(step.limit)
                            while waiting is None or type(waiting) is Future:  # the usual
                                try:
                                    sent = yield waiting
                                except BaseException as error:
                                    thrown = error
                                    break
                                waiting = value.send(sent)
                            is_held = True
                            value = yield from watch.hold(value, waiting, None, thrown)
                    except StopIteration as done:
                        if not waits:
                            raise
                        value = done.value
                    if gathering.take(value if fit is None or value is None else fit(value)):
                        break
                except BaseException as error:
                    value = self._lost(step, error, is_callers=is_held)
            return gathering.result()
        finally:
            watch.end(coroutine, run)

    def _lost(self, step: Step, error: BaseException, *, is_callers: bool) -> bool:
        """Deal with an implementation that failed; it settles nothing.

        Args:
            step: Which.
            error: What it raised.
            is_callers: Whether a closing is that of the caller; elsewhere it is the implementation's own.
        """
        if isinstance(error, GeneratorExit) and not is_callers:
            own = stray(error)
            own.__cause__, error = error, own
        fail(step, error)
        if step.enforced:
            self.gathering.lose()
        return False

    async def _ask_all(self) -> None:
        if self._plan.side_by_side and self._here is None:
            await self._ask_side_by_side()
        else:
            asked = 0
            for step in self._plan.steps:
                asked += 1
                step.tally.counted += 1
                begun = self._now()
                try:
                    value = self._begin(step)
                    if type(value) is CoroutineType and self._here is None:
                        value = await self._watchdog.finish(value, step.limit, self._watching)
                    if self._plan.fit is not None and value is not None:
                        value = self._plan.fit(value)
                    settled = self.gathering.take(value)
                except BaseException as error:
                    self._fail(step, error, begun)
                    continue
                self._note(step, "value", begun, value=value)
                if settled:
                    break
            if self._outcomes is not None:
                self._outcomes.extend(Outcome(step.plugin, "skipped") for step in self._plan.steps[asked:])

    async def _ask_side_by_side(self) -> None:
        """Call everybody in order, then await together what waits; the answers are taken in call order."""
        values: dict[Step, Any] = {}
        waiting: dict[Step, Coro] = {}
        try:
            for step in self._plan.steps:
                step.tally.counted += 1
                begun = self._now()
                try:
                    value = self._begin(step)
                    if type(value) is CoroutineType:
                        waiting[step] = value
                        continue
                    if self._plan.fit is not None and value is not None:
                        value = self._plan.fit(value)
                except BaseException as error:
                    self._fail(step, error, begun)
                    continue
                values[step] = value
                self._note(step, "value", begun, value=value)
            await together([partial(self._await, step, each, values) for step, each in waiting.items()])
        finally:
            for each in waiting.values():
                if inspect.getcoroutinestate(each) == inspect.CORO_CREATED:
                    each.close()
        for step in self._plan.steps:
            self.gathering.take(values.get(step))
        if self._outcomes is not None:
            places = {step.plugin: place for place, step in enumerate(self._plan.steps)}
            self._outcomes.sort(key=lambda outcome: places.get(outcome.plugin, -1))

    async def _await(self, step: Step, coroutine: Coro, values: dict[Step, Any]) -> None:
        """Await one of several implementations, in a task of its own."""
        begun = self._now()
        try:
            value = await self._watchdog.finish_alone(coroutine, step.limit)
            if self._plan.fit is not None and value is not None:
                value = self._plan.fit(value)
        except BaseException as error:
            self._fail(step, error, begun)
        else:
            values[step] = value
            self._note(step, "value", begun, value=value)

    def _watching(self) -> Watch | Unwatched:
        if self._watch is None:
            self._watch = self._watchdog.watch()
        return self._watch

    def _begin(self, step: Step) -> Any:
        if step.kind == "blocking":
            block = self._block if self._here is None else self._here.block
            return block(step, self._values)
        try:
            value = step.call(self._values)
        except GeneratorExit as error:
            raise stray(error) from error
        if type(value) is CoroutineType:
            if self._plan.declaration.options.sync:
                refuse_coroutine(value)
            if self._here is not None:
                return self._here.settle(step, value, self._plan.declaration.options.mode)
        return value

    def _fail(self, step: Step, error: BaseException, begun: float) -> None:
        if type(self._values) is Given and error is self._values.refusal:
            raise error
        kind, shown = fail(step, error)
        self._note(step, kind, begun, error=shown)
        if step.enforced:
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
            would_have = ""
            if type(value) is Observed:  # a value of somebody else may raise when it is asked for its class
                kind, would_have = "observed", verdict_text(value.verdict)
            elif kind == "observed" and isinstance(error, Refused):
                would_have = refusal_text(error)
            self._outcomes.append(Outcome(step.plugin, kind, value, error, duration, would_have))
