"""Wrappers of pluggy's old style, which are given a ``Result``, made into those that are given what is in it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from typing import Any

import pluggy

from plughost.core.calls.pointing import warn_caller


def as_wrapper(function: Callable[..., Any], plugin: str, hook: str) -> Callable[..., Any]:
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
        ended = False
        try:
            old.send(result)
        except StopIteration:
            ended = True
        except BaseException as error:
            warn_caller(
                pluggy.PluggyTeardownRaisedWarning(_TOLD.format(plugin, hook, type(error).__name__, error))
            )
            raise
        finally:
            old.close()
        if ended:  # out here, or what the result raises would be told as raised while handling the end
            return result.get_result()
        raise RuntimeError("the wrapper yielded twice")

    return wrapper


_TOLD = """A plugin raised an exception during an old-style hookwrapper teardown.
Plugin: {}, Hook: {}
{}: {}
A wrapper that raises on purpose is better marked wrapper=True"""
