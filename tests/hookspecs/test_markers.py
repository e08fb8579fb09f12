"""Options of the markers are read where they are written: a wrong one was found out at the first call, or never."""

from __future__ import annotations

from typing import Any

import pytest

from plughost import hookimpl, hookspec

NO_TIME = ("5", True, -1, 0, float("nan"))


def something(amount: float) -> float:
    return amount


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"mode": "frist"}, r"mode='frist' is none of 'broadcast', 'collect', 'first'"),
        ({"mode": ["first"]}, r"mode=\['first'\] is none of"),
        ({"on_error": "abrot"}, r"on_error='abrot' is none of 'isolate', 'abort', 'deny'"),
        ({"sync": "no"}, "sync='no' is neither True nor False"),
        ({"concurrent": "no"}, "concurrent='no' is neither True nor False"),
        *(({"timeout": timeout}, f"timeout={timeout!r}: a limit is ") for timeout in NO_TIME),
    ],
)
def test_a_declaration_refuses_what_no_call_could_keep(options: dict[str, Any], told: str) -> None:
    with pytest.raises((TypeError, ValueError), match=told):
        hookspec(**options)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"priority": "high"}, "priority='high': a priority is a whole number"),
        ({"priority": float("nan")}, "priority=nan: a priority is a whole number"),
        ({"blocking": "yes"}, "blocking='yes' is neither True nor False"),
        ({"specname": 3}, "specname=3: the name of a hook is text"),
        *(({"timeout": timeout}, f"timeout={timeout!r}: a limit is ") for timeout in NO_TIME),
    ],
)
def test_an_implementation_refuses_what_no_call_could_keep(options: dict[str, Any], told: str) -> None:
    with pytest.raises((TypeError, ValueError), match=told):
        hookimpl(**options)


@pytest.mark.parametrize("marker", [hookspec, hookimpl])
@pytest.mark.parametrize("marked", ["first", 3, property(something)])
def test_what_is_no_function_cannot_be_marked(marker: Any, marked: object) -> None:
    with pytest.raises(TypeError, match=r"marks functions, and .* is not one; its options are given by name"):
        marker(marked)


def test_a_limit_that_never_comes_is_one() -> None:
    assert hookspec(timeout=float("inf"))(something) is something
    assert hookimpl(timeout=float("inf"))(something) is something
