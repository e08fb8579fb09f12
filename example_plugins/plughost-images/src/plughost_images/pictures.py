"""The way of one picture: its source, the disk, the workers that convert, and what is shown when all that fails."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import anyio
import anyio.to_thread

from plughost.contracts import DiskCache, Fetched
from plughost.exceptions import ServiceError
from plughost_images.converting import BadPictureError, Format, convert
from plughost_images.protocols import ImageOrigin, PictureMissingError, PictureRequest

WIDTHS: Final = (92, 154, 185, 300, 342, 500, 780, 1280)
"""Pixels that may be asked for: so few that nobody can fill the disk with sizes of one picture."""

_STALE_FOR: Final = 30 * 86_400.0
_LONGEST_REF: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture to show.

    Attributes:
        body: Its bytes.
        content_type: What they are.
        etag: Its version.
        stale: Whether its source could not give a newer one yet.
    """

    body: bytes
    content_type: str
    etag: str
    stale: bool = False


class Pictures:
    """Finds, converts and keeps pictures.

    Args:
        find: Returns the source of a name, or None: asks the hook ``image_source``.
        disk: Returns the disk cache.
        workers: Pictures that are converted at once.
    """

    def __init__(
        self, find: Callable[[str], Awaitable[object]], disk: Callable[[], DiskCache], workers: int, log: Any
    ) -> None:
        self._find, self._disk, self._log = find, disk, log
        self._workers = anyio.CapacityLimiter(workers)
        self.refused = 0
        self.failed = 0

    async def origin(self, source: str, ref: str) -> ImageOrigin:
        """Return where a picture comes from.

        Raises:
            PictureMissingError: Nobody has such a source, or the ref is none of its names.
        """
        origin = await self._find(source)
        if not isinstance(origin, ImageOrigin):
            raise PictureMissingError
        if len(ref) > _LONGEST_REF or ".." in ref or not re.fullmatch(origin.pattern, ref, re.ASCII):
            self.refused += 1
            raise PictureMissingError
        return origin

    async def show(
        self, source: str, origin: ImageOrigin, wanted: PictureRequest, kind: Format
    ) -> Picture | None:
        """Return the picture; None when its source fails and no old one is there.

        Raises:
            PictureMissingError: There is none for this user.
        """
        name = await origin.key(wanted)
        key = f"{self._prefix(source, name)}{wanted.width}:{kind}"

        async def make() -> Fetched:
            original = await origin.fetch(wanted)
            body = await anyio.to_thread.run_sync(
                convert, original, wanted.width, kind, limiter=self._workers
            )
            etag = hashlib.sha256(body).hexdigest()[:24]
            return Fetched(body=body, content_type=f"image/{kind}", metadata={"etag": etag})

        try:
            return await self._kept(key, make, origin.fresh)
        except PictureMissingError:
            raise
        except Exception as error:
            self.refused += isinstance(error, BadPictureError)
            self.failed += 1
            self._log.warning("a picture could not be fetched", source=source, error=type(error).__name__)
            return None

    async def _kept(self, key: str, make: Callable[[], Any], fresh: float) -> Picture:
        try:
            disk = self._disk()
        except ServiceError:  # nothing is kept then
            made: Fetched = await make()
            assert isinstance(made.body, bytes)  # noqa: S101 - it was made above
            return Picture(body=made.body, content_type=made.content_type, etag=made.metadata["etag"])
        for attempt in (1, 2):
            entry = await disk.get_or_fetch(key, make, ttl=fresh, stale_for=_STALE_FOR)
            try:
                body = await anyio.Path(entry.path).read_bytes()
            except FileNotFoundError:  # it had to make room just now
                if attempt == 2:
                    raise
                continue
            etag = entry.metadata.get("etag", "")
            return Picture(body=body, content_type=entry.content_type, etag=etag, stale=entry.stale)
        raise AssertionError("unreachable")

    async def forget(self, source: str, origin: ImageOrigin, wanted: PictureRequest) -> int:
        """Remove a picture in all its sizes and formats; how many those were."""
        return await self._disk().delete_prefix(self._prefix(source, await origin.key(wanted)))

    async def forget_all(self) -> int:
        """Remove every picture; how many there were."""
        return await self._disk().delete_prefix("image:")

    @staticmethod
    def _prefix(source: str, name: str) -> str:
        return f"image:{source}:{hashlib.sha256(name.encode()).hexdigest()[:32]}:"
