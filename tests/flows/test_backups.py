"""What plugins give goes into one archive and comes back, or nothing of it is left."""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import resource
import shutil
import tarfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
import zstandard

from app_host import AppHost
from plughost.contracts.backup import (
    Archive,
    Artifact,
    BackupLocation,
    BackupPlan,
    BackupProgress,
    BackupResult,
    RestorePlan,
)
from plughost.exceptions import BackupError
from plughost.flows import archive_format
from plughost.hookspecs import hookimpl
from plughost.testing.clock import FakeClock

pytestmark = pytest.mark.anyio


class Keeper:
    """Keeps notes in memory, gives them to backups and takes them back."""

    def __init__(self, **notes: bytes) -> None:
        self.notes = notes
        self.failed: list[Exception] = []
        self.results: list[BackupResult] = []
        self.refuse_restore = False

    @hookimpl
    def provide_backup_artifacts(self) -> Sequence[Artifact]:
        def open_note(data: bytes) -> Callable[[], Iterator[bytes]]:
            return lambda: iter([data[: len(data) // 2], data[len(data) // 2 :]])

        return [Artifact(name=f"notes/{name}", stream=open_note(data)) for name, data in self.notes.items()]

    @hookimpl
    def after_backup(self, result: BackupResult) -> None:
        self.results.append(result)

    @hookimpl
    def backup_failed(self, error: Exception) -> None:
        self.failed.append(error)

    @hookimpl
    def restore_artifact(self, artifact: Artifact, plan: RestorePlan) -> bool | None:
        if artifact.plugin != "keeper" or artifact.path is None:
            return None
        name = artifact.name.removeprefix("notes/")
        if name in self.notes and not plan.overwrite:
            raise BackupError(f"note {name} exists; restore with overwrite=True to replace it")
        self.notes[name] = artifact.path.read_bytes()
        return True


class Stage:
    def __init__(self, host: AppHost, keeper: Keeper, folder: Path) -> None:
        self.host, self.keeper, self.folder = host, keeper, folder

    def left(self) -> list[str]:
        """Everything in the folder of backups, hidden or not."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*"))


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    host = AppHost(tmp_path, clock=FakeClock())
    keeper = Keeper(one=b"first" * 100, two=b"second" * 100)
    await host.load("keeper", keeper)
    yield Stage(host, keeper, tmp_path / "backups")
    await host.close()


def path_of(result: BackupResult) -> Path:
    return Path(result.location.uri.removeprefix("file://"))


async def test_a_backup_is_one_file_under_its_final_name_and_nothing_else(stage: Stage) -> None:
    result = await stage.host.backups.run()
    assert stage.left() == [path_of(result).name]
    assert result.size == path_of(result).stat().st_size
    assert result.sha256 == hashlib.sha256(path_of(result).read_bytes()).hexdigest()


async def test_only_its_owner_can_read_a_backup(stage: Stage) -> None:
    result = await stage.host.backups.run()
    assert path_of(result).stat().st_mode & 0o777 == 0o600


async def test_a_backup_tells_what_is_in_it(stage: Stage) -> None:
    result = await stage.host.backups.run()
    assert [(entry.plugin, entry.name, entry.size) for entry in result.entries] == [
        ("keeper", "notes/one", 500),
        ("keeper", "notes/two", 600),
    ]
    assert result.entries[0].sha256 == hashlib.sha256(b"first" * 100).hexdigest()
    assert stage.keeper.results == [result]


async def test_a_backup_is_a_plain_tar_file_that_other_tools_read(stage: Stage) -> None:
    result = await stage.host.backups.run()
    data = zstandard.ZstdDecompressor().stream_reader(path_of(result).read_bytes()).read()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getnames() == ["backup.json", "keeper/notes/one", "keeper/notes/two", "manifest.json"]


async def test_without_the_zstd_package_it_is_gzip(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_format, "zstandard", None)
    result = await stage.host.backups.run()
    assert path_of(result).name.endswith(".tar.gz")
    assert len(await stage.host.backups.verify(path_of(result))) == 2


async def test_what_was_saved_comes_back(stage: Stage) -> None:
    result = await stage.host.backups.run()
    before = dict(stage.keeper.notes)
    stage.keeper.notes.clear()
    restored = await stage.host.backups.restore(path_of(result))
    assert restored.restored == ("notes/one", "notes/two")
    assert stage.keeper.notes == before
    assert stage.left() == [path_of(result).name]


async def test_artifacts_of_async_streams_and_files_are_saved_too(stage: Stage, tmp_path: Path) -> None:
    class Mixed:
        @hookimpl
        def provide_backup_artifacts(self) -> Sequence[Artifact]:
            async def pieces() -> AsyncIterator[bytes]:
                yield b"a"
                await anyio.lowlevel.checkpoint()
                yield b"b"

            (tmp_path / "file").write_bytes(b"file")
            return [Artifact(name="stream", stream=pieces), Artifact(name="file", path=tmp_path / "file")]

    await stage.host.load("mixed", Mixed())
    result = await stage.host.backups.run(only=["mixed"])
    assert [(entry.name, entry.size) for entry in result.entries] == [("stream", 2), ("file", 4)]


async def test_what_nobody_takes_back_is_listed_as_skipped(stage: Stage) -> None:
    result = await stage.host.backups.run()
    stage.host.dispatcher.unregister("keeper")
    assert (await stage.host.backups.restore(path_of(result))).skipped == ("notes/one", "notes/two")


async def test_nothing_is_overwritten_without_being_told(stage: Stage) -> None:
    result = await stage.host.backups.run()
    stage.keeper.notes["one"] = b"changed"
    with pytest.raises(BackupError, match="note one exists"):
        await stage.host.backups.restore(path_of(result))
    assert stage.keeper.notes["one"] == b"changed"
    await stage.host.backups.restore(path_of(result), overwrite=True)
    assert stage.keeper.notes["one"] == b"first" * 100


async def test_a_plugin_may_leave_pieces_out_of_a_restoration(stage: Stage) -> None:
    class Choosy:
        @hookimpl
        def before_restore(self, plan: RestorePlan) -> RestorePlan:
            return replace(plan, entries=plan.entries[1:])

    result = await stage.host.backups.run()
    stage.keeper.notes.clear()
    await stage.host.load("choosy", Choosy())
    await stage.host.backups.restore(path_of(result))
    assert list(stage.keeper.notes) == ["two"]


async def test_plugins_learn_where_apps_live_from_the_configuration(stage: Stage) -> None:
    plans: list[RestorePlan] = []

    class Nosy:
        @hookimpl
        def before_restore(self, plan: RestorePlan) -> None:
            plans.append(plan)

    await stage.host.load("nosy", Nosy())
    result = await stage.host.backups.run()
    stage.host.configs["shop"] = {"url": "x://me:sesame@here"}
    await stage.host.backups.restore(path_of(result), overwrite=True)
    assert plans[0].apps == {"shop": {"url": "x://me:sesame@here"}}
    assert "sesame" not in repr(plans[0])


# stores and lists


async def test_backups_are_listed_newest_first(stage: Stage) -> None:
    first = await stage.host.backups.run(reason="scheduled", apps=[])
    await stage.host.clock.advance(60)  # type: ignore[attr-defined]
    second = await stage.host.backups.run()
    listed = await stage.host.backups.list()
    assert [summary.backup_id for summary in listed] == [second.plan.backup_id, first.plan.backup_id]
    assert [summary.reason for summary in listed] == ["manual", "scheduled"]


async def test_a_plugin_can_store_and_list_archives(stage: Stage, tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    vault.mkdir()

    class Vault:
        @hookimpl(blocking=True)
        def store_backup(self, archive: Archive) -> BackupLocation:
            target = vault / archive.filename
            shutil.copyfile(archive.path, target)
            return BackupLocation(uri=target.as_uri(), size=archive.size)

        @hookimpl(blocking=True)
        def list_backups(self) -> Sequence[BackupLocation]:
            return [BackupLocation(uri=path.as_uri()) for path in vault.iterdir()]

    await stage.host.load("vault", Vault())
    result = await stage.host.backups.run()
    assert result.location.plugin == "vault"
    assert stage.left() == []
    assert [summary.backup_id for summary in await stage.host.backups.list()] == [result.plan.backup_id]
    for name in (result.plan.backup_id, path_of(result).name, result.location.uri, path_of(result)):
        assert len(await stage.host.backups.verify(name)) == 2


async def test_an_archive_that_is_not_known_is_a_clear_error(stage: Stage) -> None:
    with pytest.raises(BackupError, match="there is no archive 'nowhere'"):
        await stage.host.backups.verify("nowhere")


async def test_a_file_that_is_no_archive_is_listed_with_its_problem(stage: Stage) -> None:
    await stage.host.backups.run()
    (stage.folder / "backup-broken.tar.zst").write_bytes(b"nonsense")
    problems = [summary.problem for summary in await stage.host.backups.list() if summary.problem]
    assert len(problems) == 1
    assert "is not a backup archive" in problems[0]


async def test_progress_is_told_in_bytes(stage: Stage) -> None:
    told: list[BackupProgress] = []
    await stage.host.backups.run(on_progress=told.append)
    assert [progress.phase for progress in told if progress.phase != "write"] == ["collect", "store"]
    written = [progress for progress in told if progress.phase == "write"]
    assert written[-1].done == written[-1].total == 1100


# failures


async def test_two_artifacts_of_one_name_are_refused(stage: Stage) -> None:
    class Twice:
        @hookimpl
        def provide_backup_artifacts(self) -> Sequence[Artifact]:
            return [Artifact(name="same", stream=lambda: [b"x"])] * 2

    await stage.host.load("twice", Twice())
    with pytest.raises(BackupError, match="twice/same was given twice"):
        await stage.host.backups.run()


async def test_many_artifacts_are_not_compared_with_each_other(stage: Stage) -> None:
    compared = 0

    class Name(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

    class Many:
        @hookimpl
        def provide_backup_artifacts(self) -> Sequence[Artifact]:
            names = [*range(100), 7]
            return [Artifact(name=Name(f"piece {one}"), stream=lambda: [b"x"]) for one in names]

    await stage.host.load("many", Many())
    with pytest.raises(BackupError, match="many/piece 7 was given twice"):
        await stage.host.backups.run()
    assert compared < 1000


async def test_a_backup_of_nothing_is_refused(stage: Stage) -> None:
    stage.keeper.notes.clear()
    with pytest.raises(BackupError, match="there is nothing to save"):
        await stage.host.backups.run()


@pytest.mark.parametrize("hook", ["before_backup", "provide_backup_artifacts", "store_backup"])
async def test_a_plugin_that_fails_leaves_no_archive(stage: Stage, hook: str) -> None:
    class Failing:
        pass

    def fail(_: Any) -> None:
        raise OSError(f"{hook} broke")

    setattr(Failing, hook, hookimpl(specname=hook)(fail))
    await stage.host.load("failing", Failing())
    with pytest.raises(BackupError, match=f"{hook} broke"):
        await stage.host.backups.run()
    assert stage.left() == []
    assert len(stage.keeper.failed) == 1
    assert stage.keeper.results == []


def _breaks_off() -> Iterator[Artifact]:
    yield Artifact(name="half", stream=lambda: [b"x"])
    raise OSError("no more artifacts")


class _Leaves:
    """Ends the program whenever somebody wants to go through it, or to know what it is."""

    def __iter__(self) -> Iterator[Artifact]:
        raise SystemExit(3)

    def __repr__(self) -> str:
        raise SystemExit(4)


HANDED_OVER: dict[str, Callable[[], Any]] = {
    "an iterator that breaks off": _breaks_off,
    "something that ends the program": _Leaves,
    "a list of such": lambda: [_Leaves()],
    "a text": lambda: "artifacts",
    "an artifact by itself": lambda: Artifact(name="alone", stream=lambda: [b"x"]),
    "a list of texts": lambda: ["artifact"],
}


@pytest.mark.parametrize("what", HANDED_OVER)
async def test_what_is_no_list_of_artifacts_fails_the_backup_with_the_plugin_s_name(
    stage: Stage, what: str
) -> None:
    class Bad:
        @hookimpl
        def provide_backup_artifacts(self) -> Any:
            return HANDED_OVER[what]()

    await stage.host.load("bad", Bad())
    with pytest.raises(BackupError, match="'bad'"):
        await stage.host.backups.run()
    assert stage.left() == []
    assert len(stage.keeper.failed) == 1


async def test_a_stream_that_breaks_leaves_no_archive(stage: Stage) -> None:
    class Broken:
        @hookimpl
        def provide_backup_artifacts(self) -> Sequence[Artifact]:
            def pieces() -> Iterator[bytes]:
                yield b"half"
                raise OSError("the pipe burst")

            return [Artifact(name="broken", stream=pieces)]

    await stage.host.load("broken", Broken())
    with pytest.raises(BackupError, match="the pipe burst"):
        await stage.host.backups.run()
    assert stage.left() == []


async def test_a_backup_that_is_called_off_leaves_no_archive(stage: Stage) -> None:
    with anyio.CancelScope() as scope:

        def call_off(progress: BackupProgress) -> None:
            if progress.phase == "write":
                anyio.from_thread.run_sync(scope.cancel)

        await stage.host.backups.run(on_progress=call_off)
    assert scope.cancelled_caught
    assert stage.left() == []
    assert str(stage.keeper.failed[0]) == "the backup was cancelled"


async def test_a_full_disk_leaves_no_archive_and_says_so(stage: Stage) -> None:
    stage.keeper.notes["big"] = os.urandom(4 << 20)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(BackupError, match="is there room"):
            await stage.host.backups.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert stage.left() == []
    del stage.keeper.notes["big"]
    await stage.host.backups.run()


async def test_what_a_killed_process_left_is_removed_by_the_next_backup(stage: Stage) -> None:
    abandoned = stage.folder / ".plughost-staging-backup-1"
    abandoned.mkdir(parents=True)
    (abandoned / "in-use").touch()
    (abandoned / "archive.tar.zst").write_bytes(b"half")
    result = await stage.host.backups.run()
    assert stage.left() == [path_of(result).name]


async def test_the_staging_folder_of_a_living_process_is_left_alone(stage: Stage) -> None:
    busy = stage.folder / ".plughost-staging-other"
    busy.mkdir(parents=True)
    with (busy / "in-use").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        await stage.host.backups.run()
        assert busy.is_dir()


async def test_backups_wait_for_each_other(stage: Stage) -> None:
    now, most = 0, 0

    class Counting:
        @hookimpl
        async def before_backup(self, plan: BackupPlan) -> None:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await anyio.lowlevel.checkpoint()
            now -= 1

    await stage.host.load("counting", Counting())
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(stage.host.backups.run)
    assert most == 1
    assert len(await stage.host.backups.list()) == 3
