"""Requests whose shape two programs could read differently: refused before anybody reads them.

Servers and proxies disagree on duplicate lengths, lengths beside a transfer coding, and on several hosts;
what is smuggled between them goes past every guard. Most servers refuse these themselves; this does not rely
on it.
"""

from __future__ import annotations

from itertools import chain
from typing import Any, Final

from plughost.http.headers import API_VERSION
from plughost.http.problems import Problem

MOST_HEADER_BYTES: Final = 65_536
"""Not every server bounds what it reads before it asks the application; ours does, at the same length."""


_ASKED: Final = frozenset({b"host", b"content-length", b"transfer-encoding", b"accept-version"})


def refuse_odd_shape(scope: Any) -> None:
    """Refuse a request with ambiguous framing, an ambiguous host, or a version nobody here speaks.

    Raises:
        Problem: 400, naming what is odd; 431 when its headers are longer than any server here takes.
    """
    length = coding = host = None
    headers = scope["headers"]
    for name, value in [pair for pair in headers if pair[0] in _ASKED]:
        if name == b"host":
            if host is not None:
                raise _odd("more than one Host header")
            host = value
        elif name == b"content-length":
            if length is not None or not value.isdigit() or len(value) > 18:
                raise _odd("a Content-Length that is not a single number")
            length = value
        elif name == b"transfer-encoding":
            if coding is not None or value.strip().lower() != b"chunked":
                raise _odd("a Transfer-Encoding other than chunked")
            coding = value
        elif name == b"accept-version" and value.strip() != API_VERSION.encode():
            raise Problem(400, f"This host speaks API version {API_VERSION}.", code="unknown_version")
    _refuse_long_head(sum(map(len, chain.from_iterable(headers))))
    if length is not None and coding is not None:
        raise _odd("both Content-Length and Transfer-Encoding")


def _refuse_long_head(size: int) -> None:
    if size > MOST_HEADER_BYTES:
        raise Problem(
            431, f"The headers may have {MOST_HEADER_BYTES} bytes at most.", code="head_too_large",
            headers={"Connection": "close"},
        )  # fmt: skip


def _odd(what: str) -> Problem:
    return Problem(400, f"The request has {what}.", code="ambiguous_request", headers={"Connection": "close"})
