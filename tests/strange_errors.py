"""Errors as libraries really raise them, and which handlers meant for ordinary ones do not expect."""

from __future__ import annotations


class PanicException(BaseException):
    """As extension modules written in Rust raise it: not an ``Exception``."""


class MuteError(Exception):
    """An error whose text cannot be made.

    Args:
        instead: What its ``__str__`` and ``__repr__`` raise.
    """

    def __init__(self, instead: BaseException | None = None) -> None:
        super().__init__()
        self._instead = instead or RuntimeError("no text")

    def __str__(self) -> str:
        raise self._instead

    __repr__ = __str__


class _Hiding(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]  # that is the point
        raise RuntimeError("no name")


class NamelessError(Exception, metaclass=_Hiding):
    """An error whose class does not tell its name."""
