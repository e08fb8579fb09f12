"""Pictures that are drawn when somebody asks for them: a gradient, a few shapes, the title."""

from __future__ import annotations

import functools
import io
import random
import unicodedata

from PIL import Image, ImageDraw, ImageFont


@functools.lru_cache(maxsize=256)
def draw(text: str, width: int, height: int) -> bytes:
    """Return a JPEG of that size; the same text gives the same picture."""
    dice = random.Random(text)  # noqa: S311 - for looks, not for secrets
    hue = dice.randrange(360)
    dark, light = f"hsl({hue},55%,16%)", f"hsl({(hue + 40) % 360},60%,48%)"
    gradient = Image.linear_gradient("L").resize((width, height))
    picture = Image.composite(
        Image.new("RGB", (width, height), dark), Image.new("RGB", (width, height), light), gradient
    )
    pen = ImageDraw.Draw(picture, "RGBA")
    for _ in range(7):
        x, y, radius = (
            dice.randrange(width),
            dice.randrange(height * 3 // 4),
            dice.randrange(width // 8, width // 2),
        )
        pen.ellipse(
            (x - radius, y - radius, x + radius, y + radius), fill=(255, 255, 255, dice.randrange(10, 50))
        )
    size = max(10, width // 9)
    font = ImageFont.load_default(size)
    shown = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()  # what the font has
    lines = _lines(shown, font, width * 0.86)
    top = height - len(lines) * size * 1.2 - width * 0.08
    for number, line in enumerate(lines):
        pen.text((width * 0.07, top + number * size * 1.2), line, font=font, fill="white")
    kept = io.BytesIO()
    picture.save(kept, "JPEG", quality=82)
    return kept.getvalue()


def _lines(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
