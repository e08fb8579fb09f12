"""Which part of a long list is on a page: what somebody searches for, a hundred at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlencode

from msgspec import Struct

from plughost.plugins.admin.documents import Document

PAGE: Final = 100
"""Rows of a page; a list that has no more is there as a whole, and searched in the browser."""


class ListView(Struct, frozen=True):
    """What somebody wants to see of a list.

    Attributes:
        q: Words that are in it, each of them.
        state: Its state; empty for any.
        page: Which hundred of what is left.
    """

    q: str = ""
    state: str = ""
    page: int = 1

    @classmethod
    def of(cls, query: Mapping[str, str]) -> ListView:
        """Return what the query of an address asks for; a page that is no number is the first."""
        page = query.get("page", "")
        number = int(page) if page.isascii() and page.isdigit() and len(page) < 7 else 1
        return cls(query.get("q", "")[:100], query.get("state", "")[:100], max(1, number))

    def at(self, page: int) -> str:
        """Return the query of the same view at another page, such as ``q=lamp&page=2``."""
        given = {"q": self.q, "state": self.state, "page": "" if page == 1 else str(page)}
        return urlencode({name: value for name, value in given.items() if value})

    def fits(self, text: str, state: str = "") -> bool:
        """Whether something is searched for: every word is in its text."""
        return self.state in ("", state) and all(word in text.lower() for word in self.q.lower().split())


class ListPart(Struct, frozen=True):
    """What of a list is on a page.

    Attributes:
        rows: It.
        hidden: Which of it is not searched for: in a short list the browser can show it again.
        paged: Whether the list is too long to be there as a whole.
        found: How many are searched for.
        first: The number of the first row among them, from 1.
        page: Which page it is; the last one where there are fewer than that.
        pages: How many there are.
        view: What was asked for.
    """

    rows: Mapping[str, Document]
    hidden: frozenset[str]
    paged: bool
    found: int
    first: int
    page: int
    pages: int
    view: ListView

    @property
    def last(self) -> int:
        """The number of the last row."""
        return self.first + len(self.rows) - 1

    @property
    def query(self) -> str:
        """What leads to this very part; empty for a list that is there as a whole."""
        return self.view.at(self.page) if self.paged else ""


def part_of(items: Mapping[str, Document], view: ListView, fits: Callable[[Document], bool]) -> ListPart:
    """Return what of a list is to be shown.

    Args:
        items: The list.
        view: What somebody wants to see of it.
        fits: Tells what is searched for.
    """
    found = [name for name, item in items.items() if fits(item)]
    if len(items) <= PAGE:
        return ListPart(items, frozenset(items) - set(found), False, len(found), 1, 1, 1, view)
    pages = max(1, -(-len(found) // PAGE))
    page = min(view.page, pages)
    first = (page - 1) * PAGE
    rows = {name: items[name] for name in found[first : first + PAGE]}
    return ListPart(rows, frozenset(), True, len(found), first + 1, page, pages, view)
