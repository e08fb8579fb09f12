"""Take over into the documentation what the browser tests have kept in a folder, in so few bytes as it can be."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

DOCUMENTED = Path(__file__).parents[1] / "docs" / "_static"


def take_over(folder: Path) -> list[str]:
    """Replace the pictures that the documentation has by those of the same name in a folder; returns their names.

    A page has few colours, so that a palette of 256 shows it as it is in a third of the bytes.
    """
    taken = [picture for picture in sorted(folder.glob("*.png")) if (DOCUMENTED / picture.name).exists()]
    for picture in taken:
        with Image.open(picture) as opened:
            few = opened.convert("RGB").quantize(256, dither=Image.Dither.NONE)
            few.save(DOCUMENTED / picture.name, optimize=True)
    return [picture.name for picture in taken]


if __name__ == "__main__":
    print("\n".join(take_over(Path(sys.argv[1]))))
