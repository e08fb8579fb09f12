"""Plugins that do not enforce: what they would have decided is recorded and counted, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import CoroutineType
from typing import Any

from plughost._dataclasses import dataclass
from plughost.contracts.auth import Abstain, Allow, Deny
from plughost.contracts.logs import get_logger
from plughost.contracts.masking import masked_text
from plughost.contracts.value_text import value_text
from plughost.core.calls.metrics import Tally
from plughost.core.stepping import Coro
from plughost.exceptions import Refused

_log = get_logger("plughost.hooks")


@dataclass(frozen=True, slots=True)
class Observed(Abstain):
    """The verdict of a plugin that does not enforce; it counts as none.

    Attributes:
        verdict: What it would have decided.
    """

    verdict: Allow | Deny


def watching(function: Callable[..., Any], plugin: str, hook: str, tally: Tally) -> Callable[..., Any]:
    """Return what calls ``function`` and lets it abstain, whatever it decides."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        value = function(*args, **kwargs)
        return later(value) if type(value) is CoroutineType else observed(value)

    async def later(value: Coro) -> Any:
        return observed(await value)

    def observed(value: Any) -> Any:
        if not isinstance(value, Allow | Deny):
            return value
        note_observed(plugin, hook, tally, verdict_text(value))
        return Observed(value)

    return call


def verdict_text(verdict: Allow | Deny) -> str:
    """Return what a log may hold of a verdict."""
    return f"denied: {value_text(verdict.reason)}" if isinstance(verdict, Deny) else "allowed"


def refusal_text(refusal: Refused) -> str:
    """Return what a log may hold of a refusal."""
    return masked_text(f"refused: {refusal.log_reason}")


def note_observed(plugin: str, hook: str, tally: Tally, what: str) -> None:
    """Record what a plugin would have decided."""
    tally.observe(what)
    _log.info("not enforced", plugin=plugin, hook=hook, would_have=what)
