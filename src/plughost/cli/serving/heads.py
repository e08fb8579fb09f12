"""Heads of answers put together from lines that were made before: most headers of most answers are the same.

uvicorn looks through each header of each answer for signs that do not belong there, and each answer of ours has seven
that never change. What has been looked through is kept as a line; all that is not the usual head is left to uvicorn.
"""

from __future__ import annotations

import re
from collections.abc import Coroutine
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9a-zA-Z-]+")
_NOT_IN_A_VALUE: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_FRAMING: Final = frozenset({b"connection", b"content-length", b"transfer-encoding"})
_MOST: Final = 1024
_SHORT: Final = 512
_MOST_DIGITS: Final = 15

_lines: dict[Any, bytes] = {}
"""The lines of headers that are sound, by name and value."""


class QuickCycle(RequestResponseCycle):
    """A request and its answer, whose head is put together here if it has a length and the connection stays.

    The piece that ends a body of that length is written here too.
    """

    def send(self, message: Any) -> Coroutine[Any, Any, None]:
        """Take a message of the application."""
        if not self.keep_alive or self.flow.write_paused or self.disconnected or self.access_log:
            return super().send(message)
        if self.response_started:
            body = message.get("body")
            is_whole = type(body) is bytes and self.chunked_encoding is False and not self.response_complete
            is_last = message["type"] == "http.response.body" and not message.get("more_body")
            is_body = is_whole and is_last and len(body) == self.expected_content_length
            if not is_body or self.scope["method"] == "HEAD":
                return super().send(message)
            self.expected_content_length, self.response_complete = 0, True
            self.transport.write(body)
            self.message_event.set()
            self.on_response()
            return _done()
        if message["type"] != "http.response.start":
            return super().send(message)
        try:
            found = _head(message["status"], self.default_headers, message.get("headers", ()))
        except (AttributeError, LookupError, TypeError, ValueError):  # uvicorn says what it thinks of it
            found = None
        if found is None:
            return super().send(message)
        head, self.expected_content_length = found
        self.response_started, self.chunked_encoding, self.waiting_for_100_continue = True, False, False
        self.transport.write(head)
        return _done()


async def _done() -> None:
    """Something to await, as what uvicorn returns."""


def _head(status: int, usual: Any, headers: Any) -> tuple[bytes, int] | None:
    """Return the head of an answer, and how long its body is; None for one that uvicorn has to look at."""
    if type(headers) is not list:  # what can be gone through once only is uvicorn's
        return None
    length = None
    pairs = usual + headers
    # Most are there, and a step for each would cost more than all else
    lines: list[Any] = [*map(_lines.get, pairs)]
    while None in lines:
        place = lines.index(None)
        name, value = pairs[place]
        if name == b"content-length" and length is None and value.isdigit() and len(value) <= _MOST_DIGITS:
            length = int(value)
            lines[place] = b"content-length: %b\r\n" % value
        else:
            lines[place] = line = _line(name, value)
            if line is None:
                return None
    return None if length is None else (b"".join((STATUS_LINE[status], *lines, b"\r\n")), length)


def _line(name: bytes, value: bytes) -> bytes | None:
    """Return a header as a line, kept unless it is a secret or long; None for one that uvicorn has to look at."""
    lower = name.lower()
    if lower in _FRAMING or not _NAME.fullmatch(name) or _NOT_IN_A_VALUE.search(value):
        return None
    line = b"%b: %b\r\n" % (lower, value)
    if lower != b"set-cookie" and len(line) <= _SHORT:
        if len(_lines) >= _MOST:
            _lines.clear()
        _lines[name, value] = line
    return line
