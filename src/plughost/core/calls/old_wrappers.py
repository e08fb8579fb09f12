"""Wrappers of pluggy's old style, which are given a ``Result``, made into those that are given what is in it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from typing import Any

import pluggy


def as_wrapper(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a wrapper of today's style that does what a ``hookwrapper=True`` implementation does."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Generator[None, Any, Any]:
        old = function(*args, **kwargs)
        try:
            next(old)
        except StopIteration:
            raise RuntimeError("the wrapper did not yield") from None
        try:
            result = pluggy.Result((yield), None)
        except GeneratorExit:
            old.close()
            raise
        except BaseException as error:
            result = pluggy.Result(None, error)
        try:
            old.send(result)
        except StopIteration:
            return result.get_result()
        old.close()
        raise RuntimeError("the wrapper yielded twice")

    return wrapper
