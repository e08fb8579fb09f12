"""From bytes that came from anywhere to a picture of ours: bounded before anything is decoded."""

from __future__ import annotations

import functools
import io
from typing import Final, Literal

from PIL import Image, ImageOps

Format = Literal["jpeg", "webp", "avif"]

MOST_BYTES: Final = 16 << 20
MOST_PIXELS: Final = 40_000_000
_ORIENTATION: Final = 0x0112
_TURNED: Final = (5, 6, 7, 8)
_KNOWN: Final = ("JPEG", "PNG", "WEBP")
_BROKEN: Final = (
    OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip
"""What Pillow raises about bytes that are wrong, the last one where warnings are errors."""


class BadPictureError(Exception):
    """The bytes are not a picture that is shown: of another format, cut off, or larger than anybody needs."""


def convert(original: bytes, width: int, kind: Format) -> bytes:
    """Return the picture at most ``width`` pixels wide, upright, without what cameras write into theirs.

    What it is, is told by the bytes and by nothing else. Of a film only the first frame is read.

    Raises:
        BadPictureError: It is not a JPEG, PNG or WebP, is broken, or has too many bytes or pixels.
    """
    if len(original) > MOST_BYTES:
        raise BadPictureError(f"more than {MOST_BYTES} bytes")
    try:
        # Pillow looks at the header only; pixels come with the first use.
        with Image.open(io.BytesIO(original), formats=_KNOWN) as picture:
            pixels = picture.width * picture.height
            if pixels > MOST_PIXELS:
                raise BadPictureError(f"{picture.width} x {picture.height} pixels are too many")
            # A JPEG is decoded at half or a quarter of its size, if that is enough for how it will stand.
            turned = picture.getexif().get(_ORIENTATION, 1) in _TURNED
            scale = width / (picture.height if turned else picture.width)
            picture.draft("RGB", (round(picture.width * scale), round(picture.height * scale)))
            return _written(ImageOps.exif_transpose(picture), width, kind)
    except _BROKEN as error:
        raise BadPictureError(f"not a picture: {type(error).__name__}") from None


def _written(picture: Image.Image, width: int, kind: Format) -> bytes:
    has_alpha = picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
    shown = picture.convert("RGBA" if has_alpha else "RGB")
    if has_alpha and kind == "jpeg":
        ground = Image.new("RGB", shown.size, "white")
        ground.paste(shown, mask=shown)
        shown = ground
    if shown.width > width:
        height = max(1, round(shown.height * width / shown.width))
        shown = shown.resize((width, height), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    quality = {"jpeg": 82, "webp": 80, "avif": 60}[kind]
    options = {"speed": 8} if kind == "avif" else {"method": 2} if kind == "webp" else {"optimize": True}
    shown.save(written, kind.upper(), quality=quality, **options)
    return written.getvalue()


@functools.cache
def placeholder() -> bytes:
    """Return the PNG that is shown when there is no picture."""
    written = io.BytesIO()
    Image.linear_gradient("L").resize((60, 90)).point(lambda value: 90 + value // 4).save(written, "PNG")
    return written.getvalue()
