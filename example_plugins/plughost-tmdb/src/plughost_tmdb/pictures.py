"""TMDB's pictures, for the plugin ``images``: ``/api/images/tmdb/<file>``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from plughost_images.protocols import ImageOrigin, PictureMissingError, PictureRequest
from plughost_upstream.protocols import MOST_PICTURE, Call, Upstream, UpstreamMissingError

_WIDTHS: Final = (92, 154, 185, 342, 500, 780, 1280)
_FRESH: Final = 30 * 86_400.0


def tmdb_pictures(upstream: Callable[[], Upstream]) -> ImageOrigin:
    """Return where TMDB's pictures come from.

    Args:
        upstream: Returns the way to them.
    """

    async def fetch(wanted: PictureRequest) -> bytes:
        size = next((f"w{width}" for width in _WIDTHS if width >= wanted.width), "original")
        call = Call(path=f"/t/p/{size}/{wanted.ref}", expect="bytes", most=MOST_PICTURE, user=wanted.user_id)
        try:
            return (await upstream().send(call)).body
        except UpstreamMissingError:
            raise PictureMissingError(wanted.ref) from None

    async def key(wanted: PictureRequest) -> str:
        return wanted.ref

    return ImageOrigin(
        pattern=r"[A-Za-z0-9]{1,64}\.(jpg|png)", fetch=fetch, key=key, fresh=_FRESH, immutable=True
    )
