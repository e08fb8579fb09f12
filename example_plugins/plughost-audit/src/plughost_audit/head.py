"""The head of a chain: number and digest of its last record, in a file beside it.

A chain whose end was cut off still holds in itself; its head says how far it went. With a key the head carries a
seal, so that nobody without the key can make one for a shorter chain. Who copied an older head at its time can still
put it back together with the records of that time: compare with a copy that is kept elsewhere.

The head is written after its record, so that after a crash it may be some records behind. It is never ahead.
"""

from __future__ import annotations

import hmac
import os
import re
from dataclasses import dataclass
from pathlib import Path

_WORDS = re.compile(r"(?P<number>[0-9]{1,18}) (?P<digest>[0-9a-f]{64})( (?P<seal>[0-9a-f]{64}))?\n?")


@dataclass(frozen=True, slots=True)
class Head:
    """How far a chain goes.

    Attributes:
        number: Number of the last record; 0 before the first.
        digest: Its digest; zeros before the first.
    """

    number: int
    digest: str


def head_of(path: Path) -> Path:
    """Return the file that holds the head of a chain."""
    return path.with_name(f"{path.name}.head")


def read_head(path: Path, key: bytes) -> Head | None:
    """Return the head of the chain at ``path``; None when there is none.

    Raises:
        ValueError: It is not a head, or does not carry the seal that only the owner of the key can make.
    """
    try:
        text = head_of(path).read_text("ascii", errors="replace")
    except FileNotFoundError:
        return None
    return parse_head(text, key)


def parse_head(text: str, key: bytes) -> Head:
    """Return the head that a text holds, such as a copy kept elsewhere.

    Raises:
        ValueError: It is not a head, or does not carry the seal that only the owner of the key can make.
    """
    words = _WORDS.fullmatch(text)
    if words is None:
        raise ValueError("the head beside it cannot be read: somebody wrote to it")
    head = Head(int(words["number"]), words["digest"])
    if key and not hmac.compare_digest(words["seal"] or "", _seal(head, key)):
        raise ValueError(
            "the head beside it was not made with this key; if an older version wrote it: audit seal"
        )
    return head


def write_head(path: Path, head: Head, key: bytes) -> None:
    """Put a head in the place of the one before, whole or not at all."""
    draft = path.with_name(f"{path.name}.head.draft")
    text = f"{head.number} {head.digest}{f' {_seal(head, key)}' if key else ''}\n"
    with os.fdopen(
        os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii"
    ) as file:
        file.write(text)
    draft.replace(head_of(path))


def _seal(head: Head, key: bytes) -> str:
    return hmac.digest(key, f"head {head.number} {head.digest}".encode(), "sha256").hex()
