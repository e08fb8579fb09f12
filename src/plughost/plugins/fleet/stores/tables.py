"""What a fleet's store keeps, as documents, for engines that run Python."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from plughost.contracts import MOST_REVISIONS, StoredJob, StoredMember
from plughost.exceptions import StoreUnavailableError

T = TypeVar("T")


FORMAT = 1
"""The format of what a fleet's store keeps. A newer plughost that keeps something which this one must not write over
notes a larger number there, and then this one leaves the store alone."""

TOO_NEW = "it is kept by a newer plughost, and this one would harm what it does not know: upgrade plughost on this host"


KINDS_OF_A_FLEET = ("member", "revision")
"""The kinds of documents by which a fleet is known to be one: who only looks for it leaves a head."""


class Documents(Protocol):
    """Documents by kind and key, all within one transaction."""

    def get(self, kind: str, key: str) -> bytes | None:
        """Return one."""

    def put(self, kind: str, key: str, value: bytes) -> None:
        """Write one."""

    def delete(self, kind: str, key: str) -> None:
        """Remove one, if it is there."""

    def some(self, kind: str, keys: Sequence[str]) -> list[bytes]:
        """Return those of these keys that are there, in their order."""

    def items(self, kind: str) -> list[tuple[str, bytes]]:
        """Return all of a kind, by key."""


class FleetHead(msgspec.Struct, frozen=True, kw_only=True):
    """What a fleet has one of."""

    epoch: str
    roster: int = 0
    token: int = 0
    active: int = 0
    newest: int = 0
    step: int = 0
    roll: bytes = b""
    lead: str = ""
    lead_until: int = 0
    event: int = 0
    format: int = FORMAT


class _FormatOfHead(msgspec.Struct, frozen=True):
    """What can be read of any head."""

    format: int = FORMAT


class FleetTeller(msgspec.Struct, frozen=True):
    """Which process has a member's name, and how many events it has told."""

    process: str = ""
    told: int = 0


class FleetTables:
    """A fleet's documents, as they are at one moment.

    Args:
        documents: What is kept.
        now: The time of the step, in milliseconds.

    Raises:
        StoreUnavailableError: They are kept by a newer plughost, in another format.
    """

    def __init__(self, documents: Documents, now: int) -> None:
        self._documents = documents
        self._now = now
        found = self._read(_FormatOfHead, "head", "")
        if found is not None and found.format > FORMAT:
            raise StoreUnavailableError(f"the fleet's store cannot be used: {TOO_NEW}")

    def _known(self, name: str, incarnation: int) -> StoredMember | None:
        member = self._member(name)
        if member is None or member.incarnation != incarnation or not member.lives(self._now):
            return None
        return member

    def _member(self, name: str) -> StoredMember | None:
        return self._read(StoredMember, "member", name)

    def _members(self) -> Iterator[StoredMember]:
        for name, document in self._documents.items("member"):
            yield _decoded(StoredMember, document, f"member {name}")

    def _put_member(self, member: StoredMember) -> None:
        self._documents.put("member", member.member, msgspec.msgpack.encode(member))

    def _drop_member(self, name: str) -> None:
        for kind in ("member", "teller", "drain"):
            self._documents.delete(kind, name)

    def _teller(self, member: str) -> FleetTeller:
        return self._read(FleetTeller, "teller", member) or FleetTeller()

    def _put_teller(self, member: str, teller: FleetTeller) -> None:
        self._documents.put("teller", member, msgspec.msgpack.encode(teller))

    def _job(self, key: str) -> StoredJob | None:
        job = self._read(StoredJob, "job", key)
        return None if job is None else job.at(self._now)

    def _put_job(self, job: StoredJob) -> None:
        self._documents.put("job", job.job, msgspec.msgpack.encode(job))

    def _carriers(self, job: str) -> Iterator[str]:
        """Yield the definition of each living member that has the job."""
        for name, definition in self._documents.items(f"carrier {job}"):
            member = self._member(name)
            if member is not None and member.lives(self._now):
                yield definition.decode()

    def _head(self) -> FleetHead:
        head = self._read(FleetHead, "head", "")
        if head is None:
            head = FleetHead(epoch=uuid.uuid4().hex)
            self._put_head(head)
        return head

    def _put_head(self, head: FleetHead) -> None:
        self._documents.put("head", "", msgspec.msgpack.encode(head))

    def _put_revision(self, number: int, document: bytes, active: int) -> None:
        """Keep a revision, and drop old ones; not the one that is ``active``, which those that join are to follow."""
        self._documents.put("revision", f"{number:012}", document)
        for key, _ in self._documents.items("revision")[:-MOST_REVISIONS]:
            if int(key) != active:
                self._documents.delete("revision", key)

    def _change_roster(self) -> FleetHead:
        head = self._head()
        head = replace(head, roster=head.roster + 1)
        self._put_head(head)
        return head

    def _read(self, kind: type[T], place: str, key: str) -> T | None:
        document = self._documents.get(place, key)
        return None if document is None else _decoded(kind, document, f"{place} {key}".rstrip())


def _decoded(kind: type[T], document: bytes, what: str) -> T:
    try:
        return msgspec.msgpack.decode(document, type=kind)
    except msgspec.MsgspecError as error:
        raise StoreUnavailableError(
            f"the fleet's store holds a {what} that this plughost cannot read ({error}): another version wrote it, or"
            " somebody by hand"
        ) from error
