"""A plugin with ``enforce = false`` lets calls go on where it fails; no backup is made without its part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from plughost import Host, hookimpl
from plughost.contracts import Artifact
from plughost.exceptions import BackupError, UserRefused

pytestmark = pytest.mark.anyio


class Notes:
    """Gives a note to backups and takes it back, unless it is broken."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.error: Exception | None = None

    @hookimpl
    def provide_backup_artifacts(self) -> Sequence[Artifact]:
        if self.error is not None:
            raise self.error
        return [Artifact(name="note", stream=lambda: [b"note"])]

    @hookimpl
    def restore_artifact(self, artifact: Artifact) -> bool | None:
        if artifact.plugin != self.name:
            return None
        if self.error is not None:
            raise self.error
        return True


@pytest.mark.parametrize("error", [OSError("no disk"), UserRefused("not now")], ids=["fails", "refuses"])
async def test_its_failure_fails_the_backup_and_the_way_back(tmp_path: Path, error: Exception) -> None:
    config = {"host": {"data_dir": str(tmp_path), "allow": []}, "plugins": {"watched": {"enforce": False}}}
    notes = {name: Notes(name) for name in ("watched", "whole")}
    async with Host(config=config, environ={}) as host:
        for name, plugin in notes.items():
            await host.load_plugin(plugin, name=name)
        made = await host.backups.run()
        assert len(made.entries) == 2
        notes["watched"].error = error
        with pytest.raises(BackupError, match=f"'watched'.*{error}"):
            await host.backups.run()
        assert len(await host.backups.list()) == 1
        with pytest.raises(BackupError, match=f"'watched'.*{error}"):
            await host.backups.restore(made.plan.backup_id)
