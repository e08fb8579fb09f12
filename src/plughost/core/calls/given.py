"""What a call was given, where it may be less or more than the spec names: pluggy's own marker declared the hook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pluggy

from plughost.core.calls.declaration import Declaration
from plughost.core.calls.pointing import warn_caller

ABSENT: Final = object()
"""Stands for an argument that a call left out."""


class Given(dict[str, Any]):
    """The arguments of one call.

    Attributes:
        refusal: What came of asking for one that is missing; the caller's mistake, whoever asked.
    """

    refusal: pluggy.HookCallError | None = None

    def __missing__(self, name: str) -> Any:
        self.refusal = pluggy.HookCallError(f"hook call must provide argument {name!r}")
        raise self.refusal


def arguments_given(declared: Declaration, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call, with the defaults of the spec.

    As with pluggy, the caller is warned of those that are missing, and the call goes on until somebody needs one.
    """
    if not declared.foreign:
        return {**declared.defaults, **values}
    found = Given(declared.defaults)
    found.update((name, value) for name, value in values.items() if value is not ABSENT)
    missing = ", ".join(repr(name) for name in declared.arguments if name not in found)
    if missing:
        warn_caller(
            UserWarning(
                f"Argument(s) {missing} which are declared in the hookspec cannot be found in this hook call"
            )
        )
    return found
