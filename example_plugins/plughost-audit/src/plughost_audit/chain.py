"""A file of records, each holding the digest of the one before it. Everything here blocks.

Whoever changes, removes, inserts or reorders a line breaks every digest after it. Whoever cuts off the end leaves a
chain that holds, so its head (see ``head``) is kept in a file beside it. Whoever can write both files can also
compute all digests anew and put a fitting head there, unless there is a key that they do not have.
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

from plughost_audit.head import Head, read_head, write_head

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
        # The head first: records without one are records whose head somebody took away.
        write_head(path, Head(self._number, self._digest), key)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def append(self, kind: str, at: float, data: Mapping[str, Any]) -> Record:
        """Write one record; durable when this returns."""
        with self._lock:
            record = Record(number=self._number + 1, at=at, kind=kind, data=data, previous=self._digest)
            record = msgspec.structs.replace(record, digest=digest_of(record, self._key))
            os.write(self._file, msgspec.json.encode(record) + b"\n")
            os.fsync(self._file)
            self._number, self._digest = record.number, record.digest
            write_head(self._path, Head(record.number, record.digest), self._key)
            return record

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            os.close(self._file)


def digest_of(record: Record, key: bytes) -> str:
    """Return the digest that a record must have."""
    plain = msgspec.json.encode(msgspec.structs.replace(record, digest=""), order="sorted")
    return hmac.digest(key, plain, "sha256").hex() if key else hashlib.sha256(plain).hexdigest()


def verify(path: Path, key: bytes = b"", head: Head | None = None) -> tuple[Broken | None, Record | None]:
    """Follow the chain from its first record; return where it breaks, if it does, and the last good record.

    Args:
        path: The file.
        key: The key of its digests; empty for none.
        head: What the chain must reach at least; None takes the head beside the file.
    """
    try:
        # Read before the records: of a host that goes on writing, they may be more by then, and never fewer.
        head = head or read_head(path, key)
    except ValueError as error:
        return Broken(1, str(error)), None
    broken, last = _follow(path, key, head)
    if broken is not None:
        return broken, last
    number = last.number if last else 0
    if head is None:
        return (
            (Broken(1, "the head beside it is missing: somebody took it away"), last)
            if last
            else (None, None)
        )
    if head.number > number:
        return Broken(number + 1, f"records missing at the end: {head.number - number}"), last
    return None, last


def _follow(path: Path, key: bytes, head: Head | None) -> tuple[Broken | None, Record | None]:
    last: Record | None = None
    if not path.exists():
        return None, None
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            record, problem = _read(line, key, last)
            if record is None:
                return Broken(number, problem), last
            if head is not None and head.number == number and head.digest != record.digest:
                return Broken(number, "its head is that of another chain: this one was written anew"), last
            last = record
    return None, last


def _read(line: bytes, key: bytes, last: Record | None) -> tuple[Record | None, str]:
    try:
        record = msgspec.json.decode(line, type=Record)
    except msgspec.MsgspecError as error:
        return None, f"it is not a record: {error}"
    number, previous = (last.number, last.digest) if last else (0, START)
    if record.number != number + 1 or record.previous != previous:
        return None, "it does not follow the record before it: one was removed, added or moved"
    if not hmac.compare_digest(record.digest, digest_of(record, key)):
        return None, "it was changed, or the key is another one"
    return record, ""
