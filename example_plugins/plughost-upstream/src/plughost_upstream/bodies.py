"""Bodies of bounded size: what is packed is unpacked no further than it may become."""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress

import anyio
import httpx2

from plughost_upstream.protocols import UpstreamGarbageError

ENCODINGS = "gzip"
"""What is asked for: the one encoding that can be unpacked step by step with a bound."""


async def pieces_of(response: httpx2.Response, most: int) -> AsyncGenerator[bytes]:
    """Give the body piece by piece.

    Raises:
        UpstreamGarbageError: It has more bytes than it may, breaks off, or is packed in a way nobody asked for.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("gzip", "x-gzip", "identity", ""):
        raise UpstreamGarbageError(
            "the answer is packed in a way that was not asked for", status=response.status_code
        )
    unpacker = zlib.decompressobj(31) if encoding in ("gzip", "x-gzip") else None
    left = most
    raw = response.aiter_raw()
    try:
        async for packed in raw:
            piece = packed if unpacker is None else unpacker.decompress(packed, left + 1)
            left -= len(piece)
            if left < 0:
                raise UpstreamGarbageError(
                    f"the answer has more than {most} bytes", status=response.status_code
                )
            if piece:
                yield piece
    except (httpx2.HTTPError, httpx2.StreamError, zlib.error):
        raise UpstreamGarbageError(
            "the answer broke off or is damaged", status=response.status_code
        ) from None
    finally:
        await _let_go(response, raw)
    if unpacker is not None and not unpacker.eof:
        raise UpstreamGarbageError("the answer broke off", status=response.status_code)


async def _let_go(response: httpx2.Response, raw: AsyncIterator[bytes]) -> None:
    """Close an answer, whether it was read to its end or not.

    Reading on from what is closed ends the generators of the client one in the other, which it leaves to the
    garbage collector otherwise; trio complains of those.
    """
    with anyio.CancelScope(shield=True), suppress(httpx2.HTTPError, httpx2.StreamError):
        await response.aclose()
        async for _ in raw:
            pass
