"""Whatever an error is, there is text for it, and making that text never fails."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plughost.contracts import error_line, error_text
from plughost.exceptions import StrayError
from strange_errors import MuteError, NamelessError


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (KeyError("lamp"), "KeyError: 'lamp'"),
        (ValueError(), "ValueError"),
        (SystemExit(3), "SystemExit: 3"),
        (StrayError("PanicException: overflow"), "PanicException: overflow"),
    ],
)
def test_an_error_is_told_with_its_type_and_what_it_says(error: BaseException, line: str) -> None:
    assert error_line(error) == line


@pytest.mark.parametrize("raised", [ValueError("no"), SystemExit(2), KeyboardInterrupt(), GeneratorExit()])
def test_an_error_whose_text_cannot_be_made_is_told_by_its_type(raised: BaseException) -> None:
    text = error_line(MuteError(raised))
    assert text.startswith("MuteError: ")
    assert type(raised).__name__ in text


def test_text_that_is_no_text_does_not_get_out() -> None:
    class Tricky(str):  # noqa: SLOT000
        def __str__(self) -> str:
            raise ValueError("not even this")

    class Odd(Exception):
        def __str__(self) -> str:
            return Tricky("as it stands")

    assert error_text(Odd()) == "as it stands"


def test_an_error_whose_class_hides_its_name_has_text() -> None:
    assert "quiet" in error_line(NamelessError("quiet"))


def test_a_group_is_told_by_its_causes() -> None:
    group = ExceptionGroup("2 at once", [KeyError("lamp"), ExceptionGroup("inner", [OSError("full")])])
    assert error_line(group) == "ExceptionGroup: KeyError: 'lamp'; ExceptionGroup: OSError: full"


def test_a_group_of_very_many_is_told_in_few_words() -> None:
    text = error_text(ExceptionGroup("all", [ValueError(str(number)) for number in range(1000)]))
    assert text.endswith("and 995 more")


@given(st.integers(2001, 100_000))
def test_a_novel_is_cut_short(length: int) -> None:
    assert len(error_text(ValueError("x" * length))) < 2_100
