"""Are the folders there, and can they be written?"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from plughost.checks.findings import CheckProblem, check
from plughost.cli.doctor.patient import Patient

_OWNER_ONLY = 0o700
_A_PAGE = 4096


@check("data-dir", "plugins can keep their data")
def _data_dir(patient: Patient) -> Iterator[CheckProblem]:
    folder = patient.data_dir  # one that is not there is made when a plugin first needs it
    if folder.is_dir():
        if reason := _why_nothing_can_be_kept_in(folder):
            yield CheckProblem(
                message=f"the data folder {folder} cannot be written: {reason}.",
                advice="make room in it or give it to the user that runs the host, or set host.data_dir",
                repair=None if os.access(folder, os.W_OK | os.X_OK) else partial(folder.chmod, _OWNER_ONLY),
            )
    elif os.path.lexists(folder):  # a file, or a link that leads nowhere
        yield CheckProblem(
            message=f"the data folder {folder} is not a folder.", advice="move it away, or set host.data_dir"
        )
    elif reason := _why_it_cannot_be_made(folder):
        yield CheckProblem(
            message=f"the data folder {folder} is not there and cannot be made: {reason}.",
            advice="make it for the user that runs the host, or set host.data_dir",
        )


@check("plugin-dir", "the plugin directory is there")
def _plugin_dir(patient: Patient) -> Iterator[CheckProblem]:
    folder = patient.plugin_dir
    if folder is None or folder.is_dir():
        return
    if os.path.lexists(folder):
        yield CheckProblem(
            message=f"the plugin directory {folder} is not a folder.",
            advice="move it away, or correct host.plugin_dir",
            level="warning",
        )
        return
    yield CheckProblem(
        message=f"the plugin directory {folder} is not there.",
        advice="correct host.plugin_dir, or let --fix make it",
        level="warning",
        repair=partial(folder.mkdir, mode=_OWNER_ONLY, parents=True, exist_ok=True),
    )


def _why_it_cannot_be_made(folder: Path) -> str | None:
    there = next(parent for parent in folder.absolute().parents if os.path.lexists(parent))
    return _why_nothing_can_be_kept_in(there) if there.is_dir() else f"{there} is not a folder"


def _why_nothing_can_be_kept_in(folder: Path) -> str | None:
    """Try it, and leave nothing behind: rights say nothing of a full disk, or of one that only can be read."""
    try:
        with tempfile.TemporaryFile(prefix=".doctor-", dir=folder) as file:
            file.write(bytes(_A_PAGE))
            file.flush()
            os.fsync(file.fileno())  # some file systems only now find that there is no room
    except OSError as error:
        return error.strerror or str(error)
    return None


FOLDER_CHECKS = (_data_dir, _plugin_dir)
