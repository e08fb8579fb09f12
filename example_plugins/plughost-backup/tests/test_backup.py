"""The plugin in a real host, found by its entry point."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from plughost import Host, Plugin, hookimpl
from plughost.contracts import Artifact, OperationResult
from plughost.exceptions import AppError, AppRefused, BackupError

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Keeper(Plugin):
    """Something worth saving, and an app that it migrates."""

    broken = False
    fails = False

    @hookimpl
    def provide_backup_artifacts(self) -> Sequence[Artifact]:
        if self.broken:
            raise OSError("no disk")
        return [Artifact(name="notes", stream=lambda: [b"notes"])]

    @hookimpl
    def run_migrations(self) -> OperationResult:
        return OperationResult(operation="migrations", ok=not self.fails)


def host(folder: Path, apps: dict[str, Any] | None = None, **settings: Any) -> Host:
    config = {
        "host": {"data_dir": str(folder / "data"), "allow": ["backup"]},
        "apps": apps or {},
        "plugins": {"backup": {"config": {"directory": str(folder / "backups"), **settings}}},
    }
    return Host(config=config, environ={})


def archives(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "backups").iterdir())


async def test_an_archive_is_stored_in_the_folder_and_listed(tmp_path: Path) -> None:
    async with host(tmp_path) as running:
        await running.load_plugin(Keeper(), name="keeper")
        result = await running.backups.run()
        assert result.location.plugin == "backup"
        assert archives(tmp_path) == [result.location.uri.rpartition("/")[2]]
        [listed] = await running.backups.list()
        assert listed.backup_id == result.plan.backup_id


async def test_only_the_newest_archives_stay(tmp_path: Path) -> None:
    async with host(tmp_path, keep=2) as running:
        await running.load_plugin(Keeper(), name="keeper")
        made = [await running.backups.run() for _ in range(2)]
        for path in (tmp_path / "backups").iterdir():
            path.rename(path.with_name(path.name.replace("backup-2", "backup-1")))  # a thousand years older
        newest = await running.backups.run()
        assert len(archives(tmp_path)) == 2
        assert newest.location.uri.rpartition("/")[2] in archives(tmp_path)
        assert made[0].plan.backup_id != newest.plan.backup_id


async def test_a_schedule_is_a_job_of_the_host(tmp_path: Path) -> None:
    async with host(tmp_path, schedule="0 2 * * *") as running:
        await running.load_plugin(Keeper(), name="keeper")
        [job] = [job for job in running.jobs.snapshot() if "backup" in job.name]
        await running.jobs.run_now(job.name)
        [listed] = await running.backups.list()
        assert listed.reason == "scheduled"


async def test_a_scheduled_backup_that_would_lack_an_app_fails_as_a_job_and_names_it(tmp_path: Path) -> None:
    apps = {"odd": {"url": {"$env": "NOBODY_SET_THIS"}}}
    async with host(tmp_path, apps=apps, schedule="0 2 * * *") as running:
        await running.load_plugin(Keeper(), name="keeper")
        [job] = [job for job in running.jobs.snapshot() if "backup" in job.name]
        await running.jobs.run_now(job.name)
        [job] = [job for job in running.jobs.snapshot() if "backup" in job.name]
        assert (job.failures, "app 'odd' cannot be saved" in job.last_error) == (1, True)
        assert "the last backup failed: app 'odd' cannot be saved" in (await running.health()).output
        assert archives(tmp_path) == []


async def test_an_app_is_saved_before_its_rollback(tmp_path: Path) -> None:
    async with host(tmp_path) as running:
        await running.load_plugin(Keeper(), name="keeper")
        await running.apps.register("shop", {"migrations": "m"})
        await running.apps.unregister("shop", rollback=True)
        [listed] = await running.backups.list()
        assert (listed.reason, listed.apps) == ("unregistration", ("shop",))


async def test_without_a_rollback_nothing_is_lost_so_nothing_is_saved(tmp_path: Path) -> None:
    async with host(tmp_path) as running:
        await running.load_plugin(Keeper(), name="keeper")
        await running.apps.register("shop", {})
        await running.apps.unregister("shop")
        assert archives(tmp_path) == []


async def test_an_app_that_cannot_be_saved_stays(tmp_path: Path) -> None:
    async with host(tmp_path) as running:
        keeper = Keeper()
        await running.load_plugin(keeper, name="keeper")
        await running.apps.register("shop", {})
        keeper.broken = True
        with pytest.raises(AppRefused, match="could not be saved before its rollback"):
            await running.apps.unregister("shop", rollback=True)
        assert "shop" in running.apps
        assert archives(tmp_path) == []


@pytest.mark.parametrize("on_failure", [True, False])
async def test_a_failed_operation_is_followed_by_a_backup_if_wanted(tmp_path: Path, on_failure: bool) -> None:
    async with host(tmp_path, on_failure=on_failure) as running:
        keeper = Keeper()
        keeper.fails = True
        await running.load_plugin(keeper, name="keeper")
        with pytest.raises(AppError):
            await running.apps.register("shop", {"migrations": "m"})
        assert [backup.reason for backup in await running.backups.list()] == ["failure"] * on_failure


async def test_a_failed_backup_fails_the_health_check_until_one_succeeds(tmp_path: Path) -> None:
    async with host(tmp_path) as running:
        keeper = Keeper()
        await running.load_plugin(keeper, name="keeper")
        keeper.broken = True
        with pytest.raises(BackupError):
            await running.backups.run()
        assert (await running.health()).status == "fail"
        keeper.broken = False
        await running.backups.run()
        assert (await running.health()).status == "pass"


async def test_a_backup_that_is_too_old_is_a_warning(tmp_path: Path) -> None:
    async with host(tmp_path, max_age=60) as running:
        await running.load_plugin(Keeper(), name="keeper")
        assert "there is no backup yet" in (await running.health()).output
        await running.backups.run()
        assert (await running.health()).status == "pass"
        archive = next((tmp_path / "backups").iterdir())
        os.utime(archive, (0, 0))
        assert "the newest backup is" in (await running.health()).output
