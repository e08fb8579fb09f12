"""Signs that nobody sees, and that turn a text around, written out by number instead.

Names and texts of strangers reach terminals, logs and pages. U+202E and its kin show ``exe.txt`` where ``txt.exe``
stands; others hide a part, or end a line. What writing systems need (joiners within a word) stays.
"""

from __future__ import annotations

import re
from typing import Final

_UNSEEN: Final = re.compile(
    "[\x80-\x9f\ud800-\udfff\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)

_HALF: Final = re.compile("[\ud800-\udfff]")


def writable(text: str) -> str:
    """Return the text with halves of surrogate pairs written out: UTF-8 has none, and names of files may hold some."""
    return text if text.isascii() else _HALF.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def visible(text: str) -> str:
    """Return the text with such signs written as JSON writes them, which reads them as the signs themselves."""
    return text if text.isascii() else _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
