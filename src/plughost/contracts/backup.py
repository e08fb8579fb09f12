"""Backups: what shall be saved, the pieces that plugins give, where they went, and the way back."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Protocol

from plughost._dataclasses import dataclass
from plughost.contracts.frozen import FrozenDict, Payload

ByteStream = Callable[[], AsyncIterable[bytes] | Iterable[bytes]]
"""Opens the bytes again on each call and gives them in pieces; an (async) generator function is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupPlan(Payload):
    """A backup that is about to be made.

    Attributes:
        backup_id: Its id, unique and sortable by time.
        reason: Why it is made: ``manual``, ``scheduled``, ``unregistration`` or ``failure``.
        apps: Names of the apps to save; empty saves all of them but those of ``without``.
        without: Names of the apps whose settings say ``backup = false``.
        only: Names of the plugins to ask; empty asks all of them.
        staging_dir: Folder in which the archive is put together. Whoever stores it can name one on its own
            file system, so that storing is a rename. None takes the host's.
        labels: What people want to find it by.
        created_at: When it was asked for, in seconds since the epoch.
    """

    backup_id: str
    reason: str = "manual"
    apps: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    staging_dir: Path | None = None
    labels: Mapping[str, str] = field(default_factory=FrozenDict)
    created_at: float = 0.0

    def wants(self, app_name: str) -> bool:
        """Whether that app is to be saved."""
        return app_name in self.apps if self.apps else app_name not in self.without


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact(Payload):
    """One piece of a backup: a file, or bytes that are made while they are read.

    Exactly one of ``path`` and ``stream`` is given.

    Attributes:
        name: Where it stands in the archive: relative, with ``/``, such as ``shop/database.sqlite``.
        path: The file that holds it. It must not change until ``after_backup`` or ``backup_failed``.
        stream: Opens its bytes. A generator's ``finally`` is the place to remove what was made for it.
        size: Its size in bytes, for progress; None when it is not known before.
        media_type: What kind of bytes they are.
        plugin: Who gave it and gets it back; filled in by the host.
        app_name: Which app it belongs to; None when it belongs to none.
        labels: What its giver must know to restore it, such as a schema version.
    """

    name: str
    path: Path | None = None
    stream: ByteStream | None = field(default=None, repr=False)
    size: int | None = None
    media_type: str = "application/octet-stream"
    plugin: str = ""
    app_name: str | None = None
    labels: Mapping[str, str] = field(default_factory=FrozenDict)

    def __post_init__(self) -> None:
        """Refuse what could not be saved, or would be written outside of the archive when restored."""
        Payload.__post_init__(self)  # super() is of no use in a class with slots that a decorator makes
        if (self.path is None) == (self.stream is None):
            raise ValueError(f"artifact {self.name!r} needs exactly one of path and stream")
        parts = self.name.split("/")
        if "\\" in self.name or ":" in parts[0] or any(part in {"", ".", ".."} for part in parts):
            raise ValueError(f"artifact name {self.name!r} must be relative, with '/' and without '..'")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveEntry(Payload):
    """A line of an archive's manifest.

    Attributes:
        name: The artifact's name.
        plugin: Who gave it.
        size: Its size in bytes, uncompressed.
        sha256: Digest of its bytes, in hexadecimal digits.
        media_type: What kind of bytes they are.
        app_name: Which app it belongs to; None when it belongs to none.
        labels: What its giver noted.
    """

    name: str
    plugin: str
    size: int
    sha256: str
    media_type: str = "application/octet-stream"
    app_name: str | None = None
    labels: Mapping[str, str] = field(default_factory=FrozenDict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive(Payload):
    """All artifacts of one backup in one file, complete and closed.

    Attributes:
        plan: The plan it was made by.
        path: The file in the staging folder; whoever stores it may move it away.
        filename: The name it should get.
        size: Its size in bytes.
        sha256: Digest of the file, in hexadecimal digits.
        entries: Its manifest.
    """

    plan: BackupPlan
    path: Path
    filename: str
    size: int
    sha256: str
    entries: tuple[ArchiveEntry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupLocation:
    """Where an archive was stored.

    Attributes:
        uri: Where it is, without credentials: ``file:///backups/x.tar.zst``, ``s3://bucket/x.tar.zst``.
        plugin: Who stored it; filled in by the host.
        size: Its size in bytes; None when the store does not say.
    """

    uri: str
    plugin: str = ""
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupResult(Payload):
    """A backup that was made and stored.

    Attributes:
        plan: The plan it was made by.
        location: Where it is.
        entries: What is in it.
        size: Size of the archive in bytes.
        sha256: Digest of the archive, in hexadecimal digits.
        duration: Seconds it took.
    """

    plan: BackupPlan
    location: BackupLocation
    entries: tuple[ArchiveEntry, ...]
    size: int
    sha256: str
    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupSummary(Payload):
    """A backup that is there, as lists show it.

    Attributes:
        backup_id: Its id; empty when the archive could not be read.
        location: Where it is.
        created_at: When it was asked for, in seconds since the epoch; None when unknown.
        reason: Why it was made.
        apps: Names of the apps it was limited to; empty for all.
        problem: Why the archive could not be read; empty when it could. Its sums are not checked by a list.
    """

    backup_id: str
    location: BackupLocation
    created_at: float | None = None
    reason: str = ""
    apps: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePlan(Payload):
    """A way back that is about to be gone.

    Attributes:
        archive: The archive to restore from: a path or the ``uri`` of a ``BackupLocation``.
        backup_id: Id of the backup in it.
        entries: The artifacts to restore, in the order they stand in the archive.
        overwrite: Whether what is there now may be lost.
        apps: Configuration of the apps that the host knows, by name: the place to ask where a piece belongs.
            An archive is never asked, because it comes from outside. Never shown in a ``repr``.
    """

    archive: str
    backup_id: str = ""
    entries: tuple[ArchiveEntry, ...] = ()
    overwrite: bool = False
    apps: Mapping[str, Mapping[str, Any]] = field(default_factory=FrozenDict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreResult(Payload):
    """What was restored.

    Attributes:
        plan: The plan it was done by.
        restored: Names of the artifacts that are back.
        skipped: Names of the artifacts that nobody took.
        duration: Seconds it took.
    """

    plan: RestorePlan
    restored: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    duration: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupProgress:
    """How far a backup, a check or a restoration is; for a progress bar.

    Attributes:
        phase: ``collect``, ``write``, ``store``, ``verify`` or ``restore``.
        name: The piece that is worked on; empty between two.
        done: Bytes that are done in this phase.
        total: Bytes there are to do; None when it is not known.
    """

    phase: str
    name: str = ""
    done: int = 0
    total: int | None = None


OnProgress = Callable[[BackupProgress], None]
"""Is told how far it is, about once per megabyte; must be quick."""


class BackupService(Protocol):
    """What a plugin asks for to have backups made: ``context.use(BackupService)``. The host provides it."""

    async def run(
        self, *, reason: str = "manual", apps: Iterable[str] = (), on_progress: OnProgress | None = None
    ) -> BackupResult:
        """Make a backup and return where it is.

        Args:
            reason: ``manual``, ``scheduled``, ``unregistration`` or ``failure``.
            apps: Names of the apps to save; empty saves all.
            on_progress: Is told how far it is.

        Raises:
            BackupError: It was not made; nothing of it is left.
        """

    async def list(self) -> tuple[BackupSummary, ...]:
        """Return the backups that are there, newest first."""

    async def verify(
        self, archive: str | Path, *, on_progress: OnProgress | None = None
    ) -> tuple[ArchiveEntry, ...]:
        """Read a whole archive and return its manifest when every sum in it is right.

        Raises:
            BackupError: It is not complete, or something in it was changed.
        """

    async def restore(
        self, archive: str | Path, *, overwrite: bool = False, on_progress: OnProgress | None = None
    ) -> RestoreResult:
        """Check an archive and give its pieces back to the plugins that gave them.

        Raises:
            BackupError: The archive is not right (then nothing was touched), or a plugin could not restore.
        """
