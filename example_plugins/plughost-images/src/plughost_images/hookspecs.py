"""The hook of this plugin; implement it with ``@hookimpl(optionalhook=True)``."""

from __future__ import annotations

from plughost import hookspec
from plughost_images.protocols import ImageOrigin


@hookspec(mode="first", timeout=2.0)
async def image_source(name: str) -> ImageOrigin | None:
    """Say where the pictures of a source come from.

    Called for each picture that is asked for as ``/api/images/<name>/<ref>``.

    Args:
        name: Name of the source.

    Returns:
        Where they come from; None when the source is not yours.
    """
