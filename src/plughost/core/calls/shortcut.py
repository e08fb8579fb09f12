"""The short way through a hot plan, for calls in which nothing is out of the ordinary.

Its code is written for the plan (``writing.py``). When an implementation really waits, the call moves over to the
plain way (``execute.py``), with the waiting coroutine and all that was gathered so far. So nothing about waiting,
limits or cancellation is known here, and failures are dealt with by the same function as there.

Calls are not counted step by step: who came to the end has called everybody, and who did not counts the steps
that were called when leaving. Only in a ``first`` hook each step counts itself, since most calls end early.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from types import CoroutineType
from typing import Any

import msgspec

from plughost.core.calls.drain import Traffic
from plughost.core.calls.execute import refuse_coroutine
from plughost.core.calls.faults import fail
from plughost.core.calls.here import Here
from plughost.core.calls.modes import Decide, Gathering
from plughost.core.calls.plan import CallPlan, Step
from plughost.core.calls.wrapping import Fail
from plughost.core.calls.writing import RESULTS, TRUSTED, caller_source, define, source_of
from plughost.core.containment import stray


class Shortcut(msgspec.Struct, frozen=True, eq=False):
    """The short way of one plan.

    Attributes:
        plan: What it is written for.
        run: The function of the steps; a generator function if the hook is awaited.
        wrappers: Those of the plan, each with a function of the call's arguments that calls it.
        traffic: That of the plan.
        fresh: Makes what the steps put their results into.
        result: Makes the result of the call out of that.
        rules: Says what a wrapper may make of a result; None where that depends on what was put in.
    """

    plan: CallPlan
    run: Callable[..., Any]
    wrappers: tuple[tuple[Step, Callable[..., Any]], ...]
    traffic: Traffic
    fresh: Callable[[], Any]
    result: Callable[[Any], Any]
    rules: Gathering | None

    def fail_into(self, found: Any) -> Fail:
        """Return what deals with a wrapper that failed while ``found`` took the results."""

        def fail_and_lose(step: Step, error: BaseException) -> None:
            fail(step, error)
            if step.enforced:
                found.lose()

        return fail if self.rules is not None else fail_and_lose

    def count(self, passed: bool, tried: int) -> None:
        """Count a call with wrappers.

        Args:
            passed: Whether it came from the first step to the last; otherwise its steps were counted.
            tried: How many wrappers were called.
        """
        if passed and self.plan.declaration.options.mode != "first":
            self.traffic.passed += 1
        else:
            count(self.plan.wrappers[:tried])


def shortcut(plan: CallPlan, here: Here | None = None) -> Shortcut | None:
    """Write the short way of ``plan``; None if it has none.

    With ``here`` it is that of calls without ``await``, in which what must be awaited is dealt with where it comes.

    Waiting side by side takes tasks, and threads have costs of their own: they have one way only. So has everything
    on an interpreter of which nobody knows whether it keeps ``INTERPRETERS``' promises.
    """
    declared = plan.declaration
    mode = declared.options.mode
    if not TRUSTED or plan.side_by_side or any(step.kind == "blocking" for step in plan.steps):
        return None
    if any(name not in declared.arguments for one in (*plan.wrappers, *plan.steps) for name in one.arguments):
        return None  # one that was there before the spec, which pluggy refused for it; it asks for what is not given
    known: dict[str, Any] = {
        "_fail": _fail_on(plan),
        "_refuse": refuse_coroutine,
        "_Coroutine": CoroutineType,
        "_BaseException": BaseException,
        "_type": type,
        "_fit": plan.fit,
    }
    for number, step in enumerate(plan.steps):
        known[f"_step_{number}"] = step.function
        known[f"_tally_{number}"] = step.tally
    if here is not None:
        known["_settle"] = lambda number, value: here.settle(plan.steps[number], value, mode)
    plan.follow()
    run = define("run", source_of(plan, here=here is not None), known)
    return Shortcut(
        plan=plan,
        run=run if declared.options.sync or here else types.coroutine(run),
        wrappers=tuple(
            (step, define("call", caller_source(plan, step), {"_step": step.function}))
            for step in plan.wrappers
        ),
        traffic=plan.traffic,
        fresh=Decide if mode == "decide" else list,
        result=define("result", f"def result(_values):\n    return {RESULTS[mode]}", {}),
        rules=None if mode == "decide" else plan.gather({}),
    )


def count(steps: Iterable[Step]) -> None:
    """Count a call of each of ``steps``."""
    for step in steps:
        step.tally.counted += 1


def count_up_to(plan: CallPlan, number: int) -> None:
    """Count the steps that a call of the short way has called when it leaves at step ``number``."""
    if plan.declaration.options.mode != "first":
        count(plan.steps[: number + 1])


def _fail_on(plan: CallPlan) -> Callable[[int, BaseException], None]:
    def fail_at(number: int, error: BaseException) -> None:
        if isinstance(error, GeneratorExit):
            if error.__traceback__ is None or error.__traceback__.tb_next is None:
                raise error  # raised here and not in the step: the call went on on the plain way and counted there
            error = stray(error)
        try:
            fail(plan.steps[number], error)
        except BaseException:
            count_up_to(plan, number)
            raise

    return fail_at


def waits_at(run: Any, names: Iterable[str]) -> tuple[int, Any, dict[str, Any]]:
    """Return where a short way waits: the number of the step, its coroutine, the arguments ``names`` as they are now.

    The generator is asked for its own variables, because noting them elsewhere would cost every call.
    """
    local = run.gi_frame.f_locals
    return local["_at"], run.gi_yieldfrom, {name: local[name] for name in names}
