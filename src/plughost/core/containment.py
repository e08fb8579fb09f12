"""Where a plugin's code runs, and the guard around it: behind the guard every failure is an ``Exception``.

``except Exception`` then is enough everywhere: what would pass it (``sys.exit()``, the panic of an extension
module, a stray cancellation) comes out as ``StrayError``. Only the interrupt of the person, and a cancellation
that the host asked for, go on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar, TypeVarTuple, Unpack

from plughost.contracts.error_text import error_line, error_type_name
from plughost.exceptions import PluginProcessError, StrayError

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
    ANSWER = "reading what it answered to a hook"
    MIDDLEWARE = "making its middleware"
    ROUTE = "a route or middleware"
    CHECK = "looking at it for a check"
    FINDER = "a finder of installed distributions"
    THREAD = "a plain function in a thread of its own"


class Person:
    """Whoever started the program, and may interrupt it.

    Attributes:
        is_there: Whether there is one. A plugin's own process has none: an interrupt there is the plugin's own doing.
    """

    is_there = True


person = Person()


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


def is_interrupt(error: BaseException) -> bool:
    """Whether the person ended the program, be it in a group of errors; asked in the thread where it was raised.

    Python raises the person's interrupt in the main thread. In any other a plugin raised it by itself.
    """
    if not person.is_there or threading.current_thread() is not threading.main_thread():
        return False
    if isinstance(error, BaseExceptionGroup):
        return any(is_interrupt(each) for each in error.exceptions)
    return isinstance(error, KeyboardInterrupt)


def stray(error: BaseException, point: str = "") -> StrayError:
    """Return what stands for an error that no ``except Exception`` would catch.

    Args:
        error: What was raised; it becomes the cause.
        point: Where, in words.
    """
    said = error_line(error)
    if isinstance(error, GeneratorExit):
        said += ", though nobody closed it"
    elif error_type_name(error) in ("CancelledError", "Cancelled"):  # asyncio's, trio's
        said += ", though the host cancelled nothing: something it waited for was cancelled elsewhere"
    failure = StrayError(said, point=point)
    failure.__cause__ = error
    return failure


def failure_fields(error: BaseException | None) -> dict[str, object]:
    """Return the fields of a log record of a failure: its traceback, and where that tells nothing, a line.

    That of a plugin's process that is gone shows the host's inside only, and a crash fails many.
    """
    return {"reason": error_line(error)} if isinstance(error, PluginProcessError) else {"exc_info": error}
