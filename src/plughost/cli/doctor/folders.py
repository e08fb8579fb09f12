"""Are the folders there, and can they be written?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from plughost.checks.findings import CheckProblem, check
from plughost.cli.doctor.patient import Patient

_OWNER_ONLY = 0o700


@check("data-dir", "plugins can keep their data")
def _data_dir(patient: Patient) -> Iterator[CheckProblem]:
    folder = patient.data_dir  # one that is not there is made when a plugin first needs it
    if folder.is_dir():
        if not os.access(folder, os.W_OK | os.X_OK):
            yield CheckProblem(
                message=f"the data folder {folder} cannot be written.",
                advice="give it to the user that runs the host, or set host.data_dir",
                repair=partial(folder.chmod, _OWNER_ONLY),
            )
    elif os.path.lexists(folder):  # a file, or a link that leads nowhere
        yield CheckProblem(
            message=f"the data folder {folder} is not a folder.", advice="move it away, or set host.data_dir"
        )
    elif _parent_is_closed(folder):
        yield CheckProblem(
            message=f"the data folder {folder} is not there and cannot be made.",
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


def _parent_is_closed(folder: Path) -> bool:
    there = next((parent for parent in folder.absolute().parents if parent.exists()), None)
    return there is None or not there.is_dir() or not os.access(there, os.W_OK | os.X_OK)


FOLDER_CHECKS = (_data_dir, _plugin_dir)
