"""The short way through a hot plan: code written for it, for calls in which nothing is out of the ordinary.

The steps of a plan are known, so they can stand one after the other in one function, with their arguments in
place and without a loop, a dictionary or an object for the call. For a ``collect`` hook with one argument and
two implementations, the second one async, that function is::

    def run(_values, what):
        _at = 0
        try:
            _value = _step_0(what)
            if _type(_value) is _Coroutine:
                _value = yield from _value
        except _BaseException as _error:
            _fail(0, _error)
        else:
            if _value is not None:
                _values.append(_value)
        _at = 1
        try:
            _value = yield from _step_1(what)
        except _BaseException as _error:
            _fail(1, _error)
        else:
            if _value is not None:
                _values.append(_value)

It is a generator, because a ``for`` loop over one that never yields costs next to nothing, while stepping a
coroutine costs an exception. If it does yield, an implementation really waits: then the call moves over to
the plain way (``execute.py``), with the waiting coroutine and all that was gathered so far. So nothing about
waiting, limits or cancellation is known here, and failures are dealt with by the same function as there.

Calls are not counted step by step: who came to the end has called everybody, and who did not counts the steps
that were called when leaving. Only in a ``first`` hook each step counts itself, since most calls end early.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass
from types import CoroutineType
from typing import Any

from plughost.core.calls.drain import Traffic
from plughost.core.calls.execute import refuse_coroutine
from plughost.core.calls.faults import fail
from plughost.core.calls.plan import CallPlan, Step
from plughost.core.containment import stray


@dataclass(frozen=True, slots=True, eq=False)
class Shortcut:
    """The short way of one plan.

    Attributes:
        plan: What it is written for.
        run: The function of the steps; a generator function if the hook is awaited.
        traffic: That of the plan.
    """

    plan: CallPlan
    run: Callable[..., Any]
    traffic: Traffic


def shortcut(plan: CallPlan) -> Shortcut | None:
    """Write the short way of ``plan``; None if it has none.

    Waiting side by side takes tasks, wrappers and threads have costs of their own, and a decision is nothing to
    hurry: they have one way only.
    """
    declared = plan.declaration
    if (
        plan.wrappers
        or plan.side_by_side
        or declared.options.mode == "decide"
        or any(step.kind == "blocking" for step in plan.steps)
    ):
        return None
    known: dict[str, Any] = {
        "_fail": _fail_on(plan),
        "_refuse": refuse_coroutine,
        "_Coroutine": CoroutineType,
        "_BaseException": BaseException,
        "_type": type,
    }
    for number, step in enumerate(plan.steps):
        known[f"_step_{number}"] = step.function
        known[f"_tally_{number}"] = step.tally
    run = define("run", source_of(plan), known)
    return Shortcut(
        plan=plan,
        run=run if declared.options.sync else types.coroutine(run),
        traffic=plan.traffic,
    )


def count_up_to(plan: CallPlan, number: int) -> None:
    """Count the steps that a call of the short way has called when it leaves at step ``number``."""
    if plan.declaration.options.mode != "first":
        for step in plan.steps[: number + 1]:
            step.tally.counted += 1


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


def define(name: str, source: str, known: dict[str, Any]) -> Any:
    """Return the function ``name`` that ``source`` defines, with ``known`` as its free variables."""
    lines = [
        f"def make({', '.join(known)}):",
        *(f"    {line}" for line in source.splitlines()),
        f"    return {name}",
    ]
    module: dict[str, Any] = {"__name__": __name__}
    # Nothing but identifiers that Python itself accepted as names is ever put into the source.
    exec(compile("\n".join(lines), f"<plughost {name}>", "exec"), module)  # noqa: S102
    return module["make"](**known)


def source_of(plan: CallPlan) -> str:
    """Return the source of the function of the steps."""
    declared = plan.declaration
    lines = [f"def run({', '.join(('_values', *declared.arguments))}):"]
    for number, step in enumerate(plan.steps):
        lines += (f"    {line}" for line in _lines_of(plan, number, step))
    if declared.options.mode == "waterfall":
        lines.append(f"    _values.append({declared.subject})")
    if not plan.steps:
        lines += ["    return"] if declared.options.sync else ["    return", "    yield"]
    return "\n".join(lines)


def _lines_of(plan: CallPlan, number: int, step: Step) -> list[str]:
    arguments = ", ".join((*step.arguments, *(f"{name}={name}" for name in step.keywords)))
    call = f"_step_{number}({arguments})"
    if step.kind == "async":
        ask = [f"_value = yield from {call}"]
    elif plan.declaration.options.sync:
        ask = [f"_value = {call}", "if _type(_value) is _Coroutine:", "    _refuse(_value)"]
    else:
        ask = [f"_value = {call}", "if _type(_value) is _Coroutine:", "    _value = yield from _value"]
    return [
        f"_at = {number}",
        "try:",
        *([f"    _tally_{number}.counted += 1"] if plan.declaration.options.mode == "first" else []),
        *(f"    {line}" for line in ask),
        "except _BaseException as _error:",
        f"    _fail({number}, _error)",
        *_take(plan),
    ]


def _take(plan: CallPlan) -> list[str]:
    """What is done with a result that is not None."""
    match plan.declaration.options.mode:
        case "collect":
            take = ["_values.append(_value)"]
        case "first":
            take = ["_values.append(_value)", "return"]
        case "waterfall":
            take = [f"{plan.declaration.subject} = _value"]
        case _:
            return []
    return ["else:", "    if _value is not None:", *(f"        {line}" for line in take)]


def waits_at(run: Any, plan: CallPlan) -> tuple[int, Any, dict[str, Any]]:
    """Return where a short way waits: the number of the step, its coroutine, the arguments as they are now.

    The generator is asked for its own variables, because noting them elsewhere would cost every call.
    """
    local = run.gi_frame.f_locals
    return local["_at"], run.gi_yieldfrom, {name: local[name] for name in plan.declaration.arguments}
