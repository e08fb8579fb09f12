"""What RFC 9111 says of one answer: whether it may be kept, for how long, and which requests it fits.

Pure rules over header pairs whose names are in lower case, as ASGI has them; no state and no framework.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Final

from plughost.contracts.http import Scope

Headers = Sequence[tuple[bytes, bytes]]

_KEPT: Final = frozenset({200, 203, 204, 300, 301, 308, 410})
_KEPT_WITH_LIFETIME: Final = frozenset({404, 405, 414, 501})
_AGE: Final = re.compile(rb'(?:^|[\s,])(s-maxage|max-age)\s*=\s*"?(\d{1,10})')


def values(headers: Headers, name: bytes) -> list[bytes]:
    """Return the values of a header, one for each line of it."""
    return [value for key, value in headers if key == name]


def directives(headers: Headers) -> frozenset[bytes]:
    """Return the names of all ``Cache-Control`` directives, of a request or an answer."""
    lines = b",".join(values(headers, b"cache-control")).lower()
    return frozenset(part.partition(b"=")[0].strip() for part in lines.split(b","))


def vary_names(headers: Headers) -> frozenset[bytes]:
    """Return the request headers an answer depends on by its own word; ``*`` is among them when it says so."""
    lines = b",".join(values(headers, b"vary")).lower()
    return frozenset(name for part in lines.split(b",") if (name := part.strip()))


def lifetime(headers: Headers, ttl: float) -> float:
    """Return how many seconds an answer may be kept: ``ttl``, or less when its own ``Cache-Control`` says so."""
    found = dict(_AGE.findall(b",".join(values(headers, b"cache-control")).lower()))
    own = found.get(b"s-maxage", found.get(b"max-age"))
    return ttl if own is None else min(ttl, float(own))


def may_be_kept(status: int, headers: Headers, *, for_one: bool, most: int) -> bool:
    """Whether an answer may be kept at all, as far as its beginning tells.

    Args:
        status: Its status code.
        headers: Its own headers.
        for_one: Whether it would be kept for whoever asked alone, so that ``private`` allows it.
        most: Bytes above which nothing is kept.
    """
    told = directives(headers)
    if status not in _KEPT and not (status in _KEPT_WITH_LIFETIME and told & {b"max-age", b"s-maxage"}):
        return False
    if told & {b"no-store", b"no-cache"} or (b"private" in told and not for_one):
        return False
    if b"*" in vary_names(headers) or lifetime(headers, 1.0) <= 0:
        return False
    names = {name for name, _ in headers}
    if names & {b"set-cookie", b"content-range"}:
        return False
    if any(value.lower().startswith(b"text/event-stream") for value in values(headers, b"content-type")):
        return False
    return all(not value.isdigit() or int(value) <= most for value in values(headers, b"content-length"))


def etag_of(body: bytes) -> bytes:
    """Return the validator of a body."""
    return b'"' + hashlib.sha256(body).hexdigest()[:32].encode() + b'"'


def has_it_already(scope: Scope, headers: Headers) -> bool:
    """Whether ``If-None-Match`` of a request names the ``ETag`` of an answer."""
    asked = b",".join(values(scope["headers"], b"if-none-match"))
    wanted = {part.strip().removeprefix(b"W/") for part in asked.split(b",")}
    etags = values(headers, b"etag")
    return bool(etags) and (etags[0].removeprefix(b"W/") in wanted or b"*" in wanted)


def key_of(scope: Scope, owner: str, varying: Iterable[bytes]) -> str:
    """Return the key of what a request asks for.

    Args:
        scope: The ASGI scope; ``GET`` and ``HEAD`` of one thing have one key.
        owner: For whom the answer is; empty for anybody.
        varying: Names of the request headers that the answer depends on.
    """
    headers = scope["headers"]
    path = scope.get("raw_path") or scope["path"].encode()
    parts = [
        owner.encode(),
        scope.get("scheme", "http").encode(),
        b",".join(values(headers, b"host")),
        scope.get("root_path", "").encode(),
        path,
        scope.get("query_string", b""),
    ]
    for name in sorted(varying):
        # How often it is there is told too: no header is another request than an empty one.
        found = values(headers, name)
        parts += [name, b"%d" % len(found), b", ".join(found)]
    # Length before each part: no two requests can spell the same key.
    text = b"".join(b"%d:%b" % (len(part), part) for part in parts)
    return "response:" + hashlib.sha256(text).hexdigest()
