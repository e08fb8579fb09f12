"""What an exception out of an implementation means: its own fault, a deliberate No, or the caller's end."""

from __future__ import annotations

import contextlib

from plughost.contracts.error_text import error_line
from plughost.contracts.hooks import OutcomeKind
from plughost.contracts.logs import get_logger
from plughost.core.calls.observing import note_observed, refusal_text
from plughost.core.calls.plan import Step
from plughost.core.containment import failure_fields
from plughost.core.stepping import LimitPassedError, belongs_to_caller
from plughost.exceptions import HookCallError, HookTimeoutError, Refused

_log = get_logger("plughost.hooks")


def goes_through(error: BaseException) -> bool:
    """Whether ``error`` belongs to the caller: a refusal, its cancellation, or the end of the program."""
    if isinstance(error, Exception):
        return isinstance(error, Refused)
    return belongs_to_caller(error)


def as_raised(error: BaseException) -> BaseException:
    """Return what an implementation raised, of which Python makes a ``RuntimeError`` if it is a ``StopIteration``.

    A coroutine cannot raise any, and most calls are coroutines inside. ``fail`` has put its note on what it raised.
    """
    cause = error.__cause__
    if isinstance(error, RuntimeError) and isinstance(cause, StopIteration) and _has_notes(cause):
        return error if _has_notes(error) else cause
    return error


def _has_notes(error: BaseException) -> bool:
    return bool(getattr(error, "__notes__", ()))


def fail(step: Step, error: BaseException) -> tuple[OutcomeKind, BaseException]:
    """Deal with what came out of an implementation: count it, log it, and let the call go on if it may.

    Returns:
        What kind of outcome it is, and the error to show.

    Raises:
        BaseException: ``error`` itself, when it belongs to the caller.
        HookTimeoutError: The implementation passed its limit, and the hook's policy is ``abort``.
        HookCallError: It failed otherwise, and the hook's policy is ``abort``; the cause is attached. Out of a
            hook that pluggy's own marker declared comes ``error`` itself, with a note that says whose it is.
    """
    if isinstance(error, Refused) and not step.enforced:
        note_observed(step.plugin, step.hook, step.tally, refusal_text(error))
        return "observed", error
    if goes_through(error):
        raise error
    if isinstance(error, LimitPassedError):
        return "timed_out", _timed_out(step)
    step.tally.errors += 1
    if step.aborts and step.bare:
        note = f"in hook {step.hook!r} of plugin {step.plugin!r}"
        # Some exceptions let nobody set anything on them, such as frozen dataclasses: these come out without a note.
        with contextlib.suppress(Exception):
            if note not in getattr(error, "__notes__", ()):
                error.add_note(note)
        raise error
    fields = failure_fields(error)
    _log.error("hook implementation failed", plugin=step.plugin, hook=step.hook, kind="error", **fields)
    if step.aborts:
        raise HookCallError(
            f"plugin {step.plugin!r} failed in hook {step.hook!r}, which stops the whole call: "
            f"{error_line(error)}",
            hook=step.hook,
            plugin=step.plugin,
        ) from error
    return "error", error


def _timed_out(step: Step) -> HookTimeoutError:
    step.tally.timeouts += 1
    _log.error(
        "hook implementation timed out",
        plugin=step.plugin,
        hook=step.hook,
        kind="timed_out",
        limit=step.limit,
    )
    limit = step.limit or 0.0
    error = HookTimeoutError(
        f"plugin {step.plugin!r} took longer than its limit of {limit:g} s in hook {step.hook!r}. "
        f"Give {step.plugin + '.' + step.hook!r} a higher limit if it needs more time",
        hook=step.hook,
        plugin=step.plugin,
        limit=limit,
    )
    if step.aborts:
        raise error
    return error
