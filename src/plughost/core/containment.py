"""Where a plugin's code runs, and the guard around it: behind the guard every failure is an ``Exception``.

``except Exception`` then is enough everywhere: what would pass it (``sys.exit()``, the panic of an extension
module, a stray cancellation) comes out as ``StrayError``. Only the interrupt of the person, and a cancellation
that the host asked for, go on.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar, TypeVarTuple, Unpack

from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.core.stepping import is_interrupt, stray
from plughost.core.time_limit import call_within

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Point(StrEnum):
    """Each place where the host runs a plugin's code. The tests try every one with every kind of exception."""

    IMPORT = "the import of its module"
    ATTRIBUTE = "looking up the attribute that its reference names"
    MAKE = "calling its class or factory"
    SHAPE = "reading what it says of itself"
    CONFIG = "making its Config"
    CHECK_CONFIG = "check_config()"
    START = "start()"
    STOP = "stop()"
    ON_STOP = "a function given to on_stop()"
    BACKGROUND = "a function given to spawn()"
    JOB = "a job"
    EVENT = "a subscriber of an event"
    STATUS = "status()"
    REGISTER = "registering its hooks and what else it asked for"
    REGISTER_JOBS = "register_jobs()"
    REGISTER_COMMANDS = "register_commands()"
    HOOK = "a hook implementation"
    WRAPPER = "a hook wrapper"


def contained(point: Point, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
    """Call a plugin's plain function; return what it returns.

    Raises:
        Exception: What it raised.
        StrayError: It raised what is no ``Exception``.
        KeyboardInterrupt: The person wants the program to end.
    """
    try:
        return function(*args)
    except Exception:
        raise
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise stray(error, point) from error


async def contained_call(
    point: Point,
    function: Callable[..., Any],
    *args: object,
    limit: float = math.inf,
    clock: Clock = SYSTEM_CLOCK,
) -> Any:
    """Call a plugin's function, plain or async, for at most ``limit`` seconds of its waiting; return its value.

    A plain function runs here and now. What waits runs in a task of its own.

    Raises:
        Exception: As ``contained`` does.
        LimitPassedError: It took longer.
    """
    returned = contained(point, function, *args)
    if not inspect.isawaitable(returned):
        return returned

    async def wait() -> Any:
        return await returned

    return await call_within(limit, wait, clock, point)
