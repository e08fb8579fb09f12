"""What a hook call tells: outcomes, reports, verdicts."""

from __future__ import annotations

from typing import Any, Literal

from plughost._dataclasses import dataclass

OutcomeKind = Literal["value", "error", "timed_out", "skipped", "observed"]
"""How an implementation came out of a call."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one implementation did in one call.

    Attributes:
        plugin: Name of the plugin.
        kind: ``value``, ``error``, ``timed_out``, ``skipped`` (an earlier one had settled the call), or ``observed``: a
            verdict or refusal of a plugin that does not enforce.
        value: What it returned, when it raised nothing.
        error: What it raised, the refusal that was not applied, or the ``HookTimeoutError``.
        duration: Seconds it took; 0.0 when skipped.
        would_have: What would have been decided, without secrets, when ``kind`` is ``observed``, such as
            ``denied: 'not today'``.
    """

    plugin: str
    kind: OutcomeKind
    value: Any = None
    error: BaseException | None = None
    duration: float = 0.0
    would_have: str = ""


@dataclass(frozen=True, slots=True)
class HookReport:
    """One hook call, implementation by implementation.

    Attributes:
        hook: Name of the hook.
        result: What the plain call would have returned.
        outcomes: One per implementation, in call order.
        duration: Seconds the whole call took.
    """

    hook: str
    result: Any
    outcomes: tuple[Outcome, ...]
    duration: float
