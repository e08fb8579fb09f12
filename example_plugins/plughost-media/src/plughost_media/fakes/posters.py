"""Pictures that are drawn when somebody asks for them: a sky, something that stands before it, the title."""

from __future__ import annotations

import functools
import io
import math
import random
import unicodedata
from collections.abc import Callable
from typing import Final

from PIL import Image, ImageDraw, ImageFont

Size = tuple[int, int]
_PALETTES: Final = (
    ("#1b2a4a", "#f2a65a", "#0d1424"), ("#3d1f3f", "#f08a6b", "#1c0d1f"), ("#0f3b3a", "#e9d8a6", "#071d1d"),
    ("#4a1d1f", "#f4c06a", "#200b0d"), ("#23304f", "#b8c6e8", "#0b1122"), ("#40340f", "#f6dd8d", "#1d1705"),
    ("#1d3557", "#e6756a", "#0a1626"), ("#2e2a5a", "#d9a5e0", "#120f29"),
)  # fmt: skip
"""Colours of the upper sky, of the light, and of what stands before it."""


@functools.lru_cache(maxsize=256)
def draw(text: str, width: int, height: int, *, titled: bool = True) -> bytes:
    """Return a JPEG of that size; the same text gives the same picture."""
    dice = random.Random(text)  # noqa: S311 - for looks, not for secrets
    sky, light, dark = dice.choice(_PALETTES)
    gradient = (
        Image.linear_gradient("L").resize((width, height)).point(lambda value: min(255, value * 4 // 3))
    )
    picture = Image.composite(
        Image.new("RGB", (width, height), light), Image.new("RGB", (width, height), sky), gradient
    )
    pen = ImageDraw.Draw(picture, "RGBA")
    _stars(pen, dice, (width, height))
    _moon(pen, dice, (width, height), light)
    dice.choice(_GROUNDS)(pen, dice, (width, height), dark)
    if titled:
        _write(picture, text, light)
    kept = io.BytesIO()
    picture.save(kept, "JPEG", quality=84)
    return kept.getvalue()


def _stars(pen: ImageDraw.ImageDraw, dice: random.Random, size: Size) -> None:
    for _ in range(40):
        x, y, radius = dice.random() * size[0], dice.random() * size[1] * 0.5, min(size) / 500 + 0.3
        pen.ellipse(
            (x - radius, y - radius, x + radius, y + radius), fill=(255, 255, 255, dice.randrange(40, 170))
        )


def _moon(pen: ImageDraw.ImageDraw, dice: random.Random, size: Size, light: str) -> None:
    radius = min(size) * (0.16 + 0.14 * dice.random())
    x, y = size[0] * (0.25 + 0.5 * dice.random()), size[1] * (0.22 + 0.2 * dice.random())
    red, green, blue = (int(light[place : place + 2], 16) for place in (1, 3, 5))
    for halo in (2.2, 1.6, 1.25):
        far = radius * halo
        pen.ellipse((x - far, y - far, x + far, y + far), fill=(red, green, blue, 22))
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(red, green, blue, 235))


def _hills(pen: ImageDraw.ImageDraw, dice: random.Random, size: Size, dark: str) -> None:
    for layer in range(3):
        base, swing, phase = 0.62 + 0.1 * layer, 0.02 + 0.05 * dice.random(), dice.random() * 6
        line = [
            (x, size[1] * (base - swing * math.sin(phase + (2 + layer) * 3 * x / size[0])))
            for x in range(0, size[0] + 4, 3)
        ]
        shade = Image.new("RGB", (1, 1), dark).getpixel((0, 0))
        assert isinstance(shade, tuple)  # noqa: S101 - of an RGB picture
        pen.polygon([*line, (size[0], size[1]), (0, size[1])], fill=(*shade[:3], (120, 180, 255)[layer]))


def _town(pen: ImageDraw.ImageDraw, dice: random.Random, size: Size, dark: str) -> None:
    x = 0.0
    while x < size[0]:
        wide, top = size[0] * (0.07 + 0.09 * dice.random()), size[1] * (0.42 + 0.3 * dice.random())
        pen.rectangle((x, top, x + wide, size[1]), fill=dark)
        step = max(3.0, size[0] / 36)
        for row in range(int((size[1] - top) / step)):
            for column in range(int(wide / step) - 1):
                if dice.random() < 0.3 and top + row * step < size[1] * 0.7:
                    left, up = x + (column + 0.8) * step, top + (row + 0.6) * step
                    pen.rectangle((left, up, left + step * 0.4, up + step * 0.45), fill="#ffe9a8")
        x += wide


def _sea(pen: ImageDraw.ImageDraw, dice: random.Random, size: Size, dark: str) -> None:
    level = size[1] * 0.66
    pen.rectangle((0, level, *size), fill=dark)
    for _ in range(26):
        y, wide = level + (size[1] - level) * dice.random() ** 1.6, size[0] * (0.05 + 0.25 * dice.random())
        x = size[0] * dice.random() - wide / 2
        pen.line((x, y, x + wide, y), fill=(255, 255, 255, 60), width=max(1, size[0] // 200))
    mast, deck = size[0] * (0.3 + 0.4 * dice.random()), size[0] * 0.09
    pen.polygon([(mast - deck, level), (mast + deck, level), (mast + deck * 0.6, level + deck * 0.4),
                 (mast - deck * 0.7, level + deck * 0.4)], fill=dark, outline=(255, 255, 255, 50))  # fmt: skip
    pen.polygon([(mast, level - deck * 2), (mast + deck * 0.9, level - deck * 0.2), (mast, level - deck * 0.2)],
                fill=(255, 255, 255, 200))  # fmt: skip


_GROUNDS: Final[tuple[Callable[[ImageDraw.ImageDraw, random.Random, Size, str], None], ...]] = (
    _hills, _town, _sea,
)  # fmt: skip


def _write(picture: Image.Image, text: str, colour: str) -> None:
    width, height = picture.size
    size = max(10, min(width // 8, height // 6))
    font = ImageFont.load_default(size)
    shown = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()  # what the font has
    lines = _lines(shown, font, width * 0.86)
    top = height - len(lines) * size * 1.15 - min(width, height) * 0.09
    shadow = (
        Image.linear_gradient("L")
        .resize((width, int(height - top + size)))
        .point(lambda value: value * 3 // 4)
    )
    picture.paste("black", (0, height - shadow.height), shadow)
    pen = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        pen.text((width * 0.075, top + number * size * 1.15), line, font=font, fill=colour)


def _lines(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
