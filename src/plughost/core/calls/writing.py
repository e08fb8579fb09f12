"""Code that is written at run time: all of it is in this room.

For each hook the functions by which it is called, with the signature of its spec, and for a hot plan its short way
(``shortcut.py``). The steps of a plan are known, so they can stand one after the other in one function, with their
arguments in place and without a loop, a dictionary or an object for the call. For a ``collect`` hook with one argument
and two implementations, the second one async, that function is::

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
coroutine costs an exception. If it does yield, an implementation really waits.

In a ``decide`` hook ``_values`` is what counts the votes, and each is told there within the ``try``: anything that
is not a vote is a failure of its implementation. So is an answer of the wrong kind in a hook of the catalogue, where
``_fit`` looks at it in the same place.
"""

from __future__ import annotations

import sys
from typing import Any, Final, NoReturn

from plughost.core.calls.declaration import Declaration
from plughost.core.calls.given import ABSENT, arguments_given
from plughost.core.calls.modes import Decide
from plughost.core.calls.plan import CallPlan, Step
from plughost.core.stepping import event_library

INTERPRETERS: Final = {(3, 11), (3, 12), (3, 13)}
"""Versions of CPython that were seen to keep what the short way stands on, each with its interpreter lock:

- the variables of a suspended generator can be read in ``gi_frame.f_locals``, and ``gi_yieldfrom`` is what it awaits;
- an exception that came out of what a generator awaits has been through more frames than one that was thrown into the
  generator itself;
- no other thread comes between the reading and the writing of ``+= 1`` on a slot.

Elsewhere every call goes the plain way. ``tests/core/calls/test_interpreter.py`` asks each interpreter that runs it.
"""

TRUSTED: Final[bool] = (
    sys.implementation.name == "cpython"
    and sys.version_info[:2] in INTERPRETERS
    and getattr(sys, "_is_gil_enabled", lambda: True)()
)
"""Whether this is one of them."""

ASYNC = (
    """
async def {name}(*_positional{parameters}):
    if {wrong}:
        _refuse(_positional, {values})
    if {unusual}:
        return await _point.call_extra((), {given})
    _short = _point.short
    if _short is None or _short.traffic.entered & _mask == _mask or _library.name:
        _short = _point.wrapped
        if _short is None or _short.traffic.entered & _mask == _mask or _library.name:
            return await _point.call({values})
        _traffic = _short.traffic
        _traffic.entered += 1
        try:
            return await _point.around(_short, {fresh}, ({tuple}))
        finally:
            _traffic.leave()
    _traffic = _short.traffic
    _traffic.entered += 1
    try:
        _values = {fresh}
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
    if {wrong}:
        _refuse(_positional, {values})
    return await _point.report({given})
""",
)

SYNC = (
    """
def {name}(*_positional{parameters}):
    if {wrong}:
        _refuse(_positional, {values})
    _short = _point.short
    if _short is None or _short.traffic.entered & _mask == _mask:
        _short = _point.wrapped
        if _short is None or _short.traffic.entered & _mask == _mask:
            return _point.at_once({values})
        _traffic = _short.traffic
        _traffic.entered += 1
        try:
            return _point.around_at_once(_short, {fresh}, ({tuple}))
        finally:
            _traffic.leave()
    _traffic = _short.traffic
    _traffic.entered += 1
    try:
        _values = {fresh}
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
    if {wrong}:
        _refuse(_positional, {values})
    return _point.at_once({values}, report=True)
""",
)

HERE = """
def {name}(*_positional{parameters}):
    if {wrong}:
        _refuse(_positional, {values})
    if {unusual}:
        return _point.extra_from_here((), {given})
    _short = _point.here
    if _short is None or _short.traffic.entered & _mask == _mask{away}:
        return _point.from_here({values})
    _traffic = _short.traffic
    _traffic.entered += 1
    try:
        _values = {fresh}
        _short.run(_values{arguments})
        {count}
        return {result}
    finally:
        _traffic.left += 1
        if _traffic.waiting:
            _traffic.wake()
"""

RESULTS = {
    "broadcast": "None",
    "collect": "_values",
    "first": "_values[0] if _values else None",
    "waterfall": "_values[0]",
    "decide": "_values.result()",
}


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


def source_of(plan: CallPlan, *, here: bool = False) -> str:
    """Return the source of the function of the steps; of a plain function for calls without ``await`` if ``here``."""
    declared = plan.declaration
    lines = [f"def run({', '.join(('_values', *declared.arguments))}):"]
    for number, step in enumerate(plan.steps):
        lines += (f"    {line}" for line in _lines_of(plan, number, step, here=here))
    if declared.options.mode == "waterfall":
        lines.append(f"    _values.append({declared.subject})")
    if not plan.steps:
        lines += ["    return"] if declared.options.sync or here else ["    return", "    yield"]
    return "\n".join(lines)


def caller_source(plan: CallPlan, step: Step) -> str:
    """Return the source of a function that calls ``step`` with all arguments of the hook by position."""
    return f"def call({', '.join(plan.declaration.arguments)}):\n    return _step({_arguments(plan, step)})"


def _arguments(plan: CallPlan, step: Step) -> str:
    named = (f"{name}={name}" for name in step.keywords if name in plan.declaration.arguments)
    return ", ".join((*step.arguments, *named))


def _lines_of(plan: CallPlan, number: int, step: Step, *, here: bool) -> list[str]:
    mode = plan.declaration.options.mode
    call = f"_step_{number}({_arguments(plan, step)})"
    if here and not plan.declaration.options.sync:
        settle = f"_value = _settle({number}, _value)"
        ask = [f"_value = {call}", "if _type(_value) is _Coroutine:", f"    {settle}"]
    elif step.kind == "async":
        ask = [f"_value = yield from {call}"]
    elif plan.declaration.options.sync:
        ask = [f"_value = {call}", "if _type(_value) is _Coroutine:", "    _refuse(_value)"]
    else:
        ask = [f"_value = {call}", "if _type(_value) is _Coroutine:", "    _value = yield from _value"]
    return [
        f"_at = {number}",
        "try:",
        *([f"    _tally_{number}.counted += 1"] if mode == "first" else []),
        *(f"    {line}" for line in ask),
        *(["    _values.take(_value)"] if mode == "decide" else []),
        *(["    if _value is not None:", "        _value = _fit(_value)"] if plan.fit is not None else []),
        "except _BaseException as _error:",
        f"    _fail({number}, _error)",
        *(["    _values.lose()"] if mode == "decide" and step.enforced else []),
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


def call_function(point: Any, declared: Declaration, name: str, template: str) -> Any:
    """Return a function that calls a hook, with the signature of its spec.

    Args:
        point: The ``HookPoint`` of the hook.
        declared: Its declaration.
        name: What the function is called in ``template``.
        template: One of those above.
    """

    def refuse(positional: tuple[Any, ...], values: dict[str, Any]) -> NoReturn:
        example = ", ".join(f"{each}=..." for each in declared.arguments)
        if positional:
            raise TypeError(f"hooks are called with keyword arguments only: {declared.name}({example})")
        missing = " and ".join(repr(each) for each, value in values.items() if value is ABSENT)
        raise TypeError(f"{declared.name}() missing {missing}: call it as {declared.name}({example})")

    known = {
        "_point": point,
        "_refuse": refuse,
        "_defaults": declared.defaults,
        "_mask": point.mask,
        "_library": event_library,
        "_home": point.home,
        "_Decide": Decide,
        "_absent": ABSENT,
        "_given": arguments_given,
        "_declared": declared,
    }
    function = define(name, _filled(template, declared, name), known)
    function.__name__ = function.__qualname__ = declared.name
    function.__doc__ = declared.function.__doc__
    function.__module__ = declared.origin
    function.__signature__ = declared.signature
    return function


def _filled(template: str, declared: Declaration, name: str) -> str:
    required = [each for each in declared.arguments if each not in declared.defaults]
    parameters = [
        f"{each}=" + ("_absent" if each in required else f"_defaults[{each!r}]")
        for each in declared.arguments
    ]
    values = ", ".join(f"{each!r}: {each}" for each in declared.arguments)
    # Python would tell whoever calls by position of what is missing, so what is missing is looked for here too.
    missing = [f"{each} is _absent" for each in required]
    wrong, unusual, given = " or ".join(["_positional", *missing]), "False", f"{{{values}}}"
    if declared.foreign:  # pluggy lets a caller say less than the spec names, and more
        parameters.append("**_more")
        wrong, unusual = "_positional", " or ".join(["_more", *missing])
        given = f"_given(_declared, {{{values}{', ' * bool(values)}**_more}})"
    return template.format(
        name=name,
        parameters="".join(f", {each}" for each in parameters),
        arguments="".join(f", {each}" for each in declared.arguments),
        tuple="".join(f"{each}, " for each in declared.arguments),
        away="" if declared.foreign else " or _home.elsewhere is not None",
        fresh="_Decide()" if declared.options.mode == "decide" else "[]",
        values=f"{{{values}}}",
        given=given,
        wrong=wrong,
        unusual=unusual,
        result=RESULTS[declared.options.mode],
        count="pass" if declared.options.mode == "first" else "_traffic.passed += 1",
    )
