"""What came from anywhere becomes a picture of ours, or nothing, before anybody decodes too much of it."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image

from plughost_images.converting import MOST_BYTES, BadPictureError, convert


def made(
    kind: str = "JPEG", size: tuple[int, int] = (600, 900), mode: str = "RGB", **options: object
) -> bytes:
    written = io.BytesIO()
    Image.new(mode, size, (200, 40, 40, 90)[: len(mode)]).save(written, kind, **options)
    return written.getvalue()


def read(body: bytes) -> Image.Image:
    return Image.open(io.BytesIO(body))


def png_that_says(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"\0" * 100)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def jpeg_that_says(width: int, height: int) -> bytes:
    body = bytearray(made("JPEG", (16, 16)))
    frame = body.index(b"\xff\xc0")
    body[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(body)


@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("kind", ["jpeg", "webp", "avif"])
def test_each_known_format_becomes_each_of_ours(source: str, kind: str) -> None:
    picture = read(convert(made(source), 185, kind))  # type: ignore[arg-type]
    assert (picture.format, picture.width) == (kind.upper(), 185)
    assert abs(picture.height - 277) <= 1


def test_a_small_picture_is_not_made_larger() -> None:
    assert read(convert(made(size=(60, 90)), 500, "webp")).size == (60, 90)


def test_what_the_camera_wrote_is_dropped_after_it_was_obeyed() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "taken at home"  # turned by a quarter; a description
    picture = read(convert(made(size=(600, 300), exif=exif), 300, "jpeg"))
    assert picture.size == (300, 600)
    assert not picture.getexif()
    assert b"taken at home" not in convert(made(size=(600, 300), exif=exif), 300, "webp")


def test_what_one_can_see_through_stays_so_where_the_format_can() -> None:
    assert read(convert(made("PNG", mode="RGBA"), 185, "webp")).mode == "RGBA"
    assert read(convert(made("PNG", mode="RGBA"), 185, "jpeg")).mode == "RGB"


def test_of_a_film_only_the_first_frame_is_shown() -> None:
    frames = [Image.new("RGB", (60, 60), colour) for colour in ("red", "blue", "green")]
    written = io.BytesIO()
    frames[0].save(written, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    picture = read(convert(written.getvalue(), 92, "webp"))
    assert getattr(picture, "n_frames", 1) == 1
    assert picture.convert("RGB").getpixel((5, 5))[0] > 200  # type: ignore[index]


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
BAD = {
    "svg": SVG,
    "svg after a sign that says utf-8": b"\xef\xbb\xbf" + SVG,
    "a page of a log-in": b"<!doctype html><title>Sign in</title>",
    "nothing": b"",
    "a gif": made("GIF", mode="P"),
    "a tiff": made("TIFF"),
    "an icon": made("ICO", (64, 64)),
    "half a jpeg": made(size=(1200, 1800), quality=95)[:4000],
    "half a png": made("PNG")[:60],
    "13,000 squared in a hundred bytes": png_that_says(13_000, 13_000),
    "64,250 squared in 700 bytes": jpeg_that_says(64_250, 64_250),
    "one line of a million": png_that_says(41_000_000, 1),
    "more bytes than fit": made() + b"\0" * MOST_BYTES,
}


@pytest.mark.parametrize("what", BAD)
def test_it_is_refused(what: str) -> None:
    with pytest.raises(BadPictureError):
        convert(BAD[what], 342, "webp")
