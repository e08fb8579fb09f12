"""A file of records, each holding the digest of the one before it. Everything here blocks.

Whoever changes, removes, inserts or reorders a line breaks every digest after it. Whoever can write the file can
also compute all digests anew, unless there is a key that they do not have; and whoever cuts off the end leaves a
whole chain, so the head (number and digest of the last record) is kept in a file beside it, to be copied elsewhere.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

START: Final = "0" * 64


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened.

    Attributes:
        number: 1 for the first.
        at: When, in seconds since the epoch.
        kind: What: the name of a hook.
        data: Who and what, without secrets.
        previous: Digest of the record before it; zeros for the first.
        digest: Digest of this record without this field.
    """

    number: int
    at: float
    kind: str
    data: Mapping[str, Any]
    previous: str
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Broken:
    """Where a chain does not hold.

    Attributes:
        line: Number of the line, from 1.
        problem: What is wrong there.
    """

    line: int
    problem: str


class Chain:
    """The file while it is being written to.

    Args:
        path: The file; made when it is not there.
        key: Makes the digests such that only its owner can compute them; empty for none.

    Raises:
        ValueError: What is there already does not hold; nothing is appended to a broken chain.
    """

    def __init__(self, path: Path, key: bytes = b"") -> None:
        broken, last = verify(path, key)
        if broken is not None:
            raise ValueError(f"{path} line {broken.line}: {broken.problem}; move it away and look into it")
        self._path, self._key = path, key
        self._number, self._digest = (last.number, last.digest) if last else (0, START)
        self._lock = threading.Lock()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def append(self, kind: str, at: float, data: Mapping[str, Any]) -> Record:
        """Write one record; durable when this returns."""
        with self._lock:
            record = Record(number=self._number + 1, at=at, kind=kind, data=data, previous=self._digest)
            record = msgspec.structs.replace(record, digest=digest_of(record, self._key))
            os.write(self._file, msgspec.json.encode(record) + b"\n")
            os.fsync(self._file)
            self._number, self._digest = record.number, record.digest
            head_of(self._path).write_text(f"{record.number} {record.digest}\n", "utf-8")
            return record

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            os.close(self._file)


def head_of(path: Path) -> Path:
    """Return the file that holds number and digest of the last record."""
    return path.with_name(f"{path.name}.head")


def digest_of(record: Record, key: bytes) -> str:
    """Return the digest that a record must have."""
    plain = msgspec.json.encode(msgspec.structs.replace(record, digest=""), order="sorted")
    return hmac.digest(key, plain, "sha256").hex() if key else hashlib.sha256(plain).hexdigest()


def verify(path: Path, key: bytes = b"") -> tuple[Broken | None, Record | None]:
    """Follow the chain from its first record; return where it breaks, if it does, and the last good record."""
    last: Record | None = None
    if path.exists():
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                record, problem = _read(line, key, last)
                if record is None:
                    return Broken(number, problem), last
                last = record
    return _compare_with_head(path, last), last


def _read(line: bytes, key: bytes, last: Record | None) -> tuple[Record | None, str]:
    try:
        record = msgspec.json.decode(line, type=Record)
    except msgspec.MsgspecError as error:
        return None, f"it is no record: {error}"
    number, previous = (last.number, last.digest) if last else (0, START)
    if record.number != number + 1 or record.previous != previous:
        return None, "it does not follow the record before it: one was removed, added or moved"
    if not hmac.compare_digest(record.digest, digest_of(record, key)):
        return None, "it was changed, or the key is another one"
    return record, ""


def _compare_with_head(path: Path, last: Record | None) -> Broken | None:
    head = head_of(path)
    if not head.exists():
        return None
    said = int(head.read_text("utf-8").split()[0])
    number = last.number if last else 0
    if said > number:
        return Broken(number + 1, f"{said - number} records at the end are missing")
    return None
