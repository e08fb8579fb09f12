"""What an exception out of an implementation means: its own fault, a deliberate No, or the caller's end."""

from __future__ import annotations

import asyncio
from typing import NoReturn

import anyio

from plughost.contracts.hooks import OutcomeKind
from plughost.contracts.logs import get_logger
from plughost.core.calls.plan import Step
from plughost.core.calls.watchdog import LimitPassedError
from plughost.exceptions import HookCallError, HookTimeoutError, Refused

_log = get_logger("plughost.hooks")


def goes_through(error: BaseException) -> bool:
    """Whether ``error`` belongs to the caller: a refusal, its cancellation, or the end of the program."""
    if isinstance(error, Exception):
        return isinstance(error, Refused)
    if isinstance(error, BaseExceptionGroup):
        return any(goes_through(each) for each in error.exceptions)
    if isinstance(error, KeyboardInterrupt | GeneratorExit):
        return True
    return isinstance(error, anyio.get_cancelled_exc_class()) and not _is_own_cancellation(error)


def _is_own_cancellation(error: BaseException) -> bool:
    """Whether an implementation awaited something that was cancelled, while nobody cancelled the caller."""
    if not isinstance(error, asyncio.CancelledError):
        return False
    task = asyncio.current_task()
    return task is not None and task.cancelling() == 0


def fail(step: Step, error: BaseException) -> tuple[OutcomeKind, BaseException]:
    """Deal with what came out of an implementation: count it, log it, and let the call go on if it may.

    Returns:
        What kind of outcome it is, and the error to show.

    Raises:
        BaseException: ``error`` itself, when it belongs to the caller.
        HookTimeoutError: The implementation passed its limit, and the hook's policy is ``abort``.
        HookCallError: It failed otherwise, and the hook's policy is ``abort``; the cause is attached.
    """
    if goes_through(error):
        raise error
    kind, shown = _report(step, error)
    if step.aborts:
        _abort(step, shown)
    return kind, shown


def _report(step: Step, error: BaseException) -> tuple[OutcomeKind, BaseException]:
    if isinstance(error, LimitPassedError):
        step.tally.timeouts += 1
        shown: BaseException = _timeout(step)
        _log.error(
            "hook implementation timed out",
            plugin=step.plugin,
            hook=step.hook,
            kind="timed_out",
            limit=step.limit,
        )
        return "timed_out", shown
    step.tally.errors += 1
    _log.error("hook implementation failed", plugin=step.plugin, hook=step.hook, kind="error", exc_info=error)
    return "error", error


def _abort(step: Step, error: BaseException) -> NoReturn:
    if isinstance(error, HookTimeoutError):
        raise error
    raise HookCallError(
        f"Plugin {step.plugin!r} failed in hook {step.hook!r}, which stops the whole call: "
        f"{type(error).__name__}: {error}",
        hook=step.hook,
        plugin=step.plugin,
    ) from error


def _timeout(step: Step) -> HookTimeoutError:
    limit = step.limit or 0.0
    return HookTimeoutError(
        f"Plugin {step.plugin!r} took longer than its limit of {limit:g} s in hook {step.hook!r}. "
        f"Give {step.plugin + '.' + step.hook!r} a higher limit if it needs more time.",
        hook=step.hook,
        plugin=step.plugin,
        limit=limit,
    )
