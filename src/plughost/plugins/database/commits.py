"""Whether work that was to happen in one transaction committed a part of itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.engine import Connection

_ENDS_IT: Final = re.compile(
    r"\s*(?:(?:--[^\n]*\n|/\*.*?\*/)\s*)*(?:COMMIT|END)\b", re.IGNORECASE | re.DOTALL
)


class Commits:
    """Notices commits, those by SQLAlchemy and those that are written out as a statement.

    Attributes:
        seen: Whether there was one.
    """

    def __init__(self) -> None:
        self.seen = False

    @contextmanager
    def watched(self, connection: Connection) -> Iterator[None]:
        """Watch a connection; the commit after the block does not count."""

        def committed(_connection: Connection) -> None:
            self.seen = True

        def executed(_connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
            self.seen = self.seen or _ENDS_IT.match(statement) is not None

        listeners = (("commit", committed), ("before_cursor_execute", executed))
        for name, listener in listeners:
            event.listen(connection, name, listener)
        try:
            yield
        finally:
            for name, listener in listeners:
                event.remove(connection, name, listener)
