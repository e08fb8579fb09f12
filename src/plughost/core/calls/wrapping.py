"""The wrappers of one call, with pluggy's meaning: each yields once and is given the result or the exception."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import Any

from plughost.contracts.auth import Allow, Deny
from plughost.core.calls.faults import goes_through
from plughost.core.calls.modes import Gathering
from plughost.core.calls.observing import note_observed, verdict_text
from plughost.core.calls.plan import Step
from plughost.core.containment import stray

Wrapper = Generator[None, Any, Any]
Fail = Callable[[Step, BaseException], object]
"""Deals with a wrapper that failed; raises what is the caller's."""


class Around:
    """What stands around the implementations while they are called.

    Attributes:
        tried: How many wrappers were called.

    Args:
        rules: Says what a wrapper may make of a result.
    """

    __slots__ = ("_opened", "_rules", "tried")

    def __init__(self, rules: Gathering) -> None:
        self._rules = rules
        self._opened: list[tuple[Step, Wrapper]] = []
        self.tried = 0

    def open(self, step: Step, fail: Fail, call: Callable[..., Wrapper], *arguments: Any) -> bool:
        """Let the next wrapper, ``call(*arguments)``, do what it does beforehand; False when it failed."""
        self.tried += 1
        try:
            wrapper = call(*arguments)
            try:
                next(wrapper)
            except StopIteration:
                raise RuntimeError("the wrapper did not yield") from None
        except BaseException as error:
            fail(step, stray(error) if isinstance(error, GeneratorExit) else error)
            return False
        self._opened.append((step, wrapper))
        return True

    def close(self, result: Any, error: BaseException | None, fail: Fail) -> Any:
        """Give each wrapper the result or the exception, the innermost first; return the result they leave.

        Raises:
            BaseException: The exception they leave.
        """
        for step, wrapper in reversed(self._opened):
            result, error = self._close(step, wrapper, result, error, fail)
        if error is not None:
            raise error
        return result

    def _close(
        self, step: Step, wrapper: Wrapper, result: Any, error: BaseException | None, fail: Fail
    ) -> tuple[Any, BaseException | None]:
        try:
            if error is None:
                wrapper.send(result)
            else:
                wrapper.throw(error)
        except StopIteration as returned:
            if error is not None and goes_through(error):
                return result, error  # a refusal or a cancellation is not a wrapper's to swallow
            try:
                left = self._rules.rewrap(result, returned.value)
            except TypeError as unfit:
                return self._failed(step, unfit, result, None, fail)
            if step.enforced or not isinstance(result, Deny | Allow):
                return left, None
            if left != result:
                note_observed(step.plugin, step.hook, step.tally, verdict_text(left))
            return result, None
        except BaseException as raised:
            is_stop = isinstance(error, StopIteration) and isinstance(raised, RuntimeError)
            if raised is error or (is_stop and raised.__cause__ is error):  # no generator lets that through
                return result, error
            own = stray(raised) if isinstance(raised, GeneratorExit) else raised
            return self._failed(step, own, result, error, fail)
        with contextlib.suppress(Exception):
            wrapper.close()
        return self._failed(step, RuntimeError("the wrapper yielded twice"), result, error, fail)

    def _failed(
        self, step: Step, raised: BaseException, result: Any, error: BaseException | None, fail: Fail
    ) -> tuple[Any, BaseException | None]:
        try:
            fail(step, raised)
        except BaseException as through:
            if error is not None and goes_through(error) and not goes_through(through):
                return result, error
            return result, through
        return (self._rules.unwrap(result) if step.enforced else result), error
