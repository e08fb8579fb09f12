"""The place of a plugin's environment: a link to the folder that holds now, beside those that held before."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

_NOTE = "plughost-environment.json"


class EnvironmentNote(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is noted in an environment that plughost made.

    Attributes:
        plugin: The plugin it was made for.
        requirement: What was asked for; empty for a path or a url, which may hold a password.
    """

    plugin: str
    requirement: str = ""


class EnvironmentPlace:
    """Where the environment of a plugin lies: ``.venvs/x`` is a link to ``.venvs/.x-3``, and is turned in one step.

    A process that runs in the former folder goes on in it: it was told the folder, and not the link.

    Args:
        link: The place that the configuration names.
    """

    def __init__(self, link: Path) -> None:
        self.link = link

    @property
    def current(self) -> Path | None:
        """The folder that the link points to; None when there is none, or it was not made here."""
        folder = self.link.resolve()
        return folder if self.link.is_symlink() and folder in self._folders() else None

    def note(self) -> EnvironmentNote | None:
        """What was noted when the current folder was made; None when there is no such note."""
        if self.current is None:
            return None
        try:
            return msgspec.json.decode((self.current / _NOTE).read_bytes(), type=EnvironmentNote)
        except (OSError, msgspec.DecodeError):
            return None

    @contextmanager
    def new_folder(self, note: EnvironmentNote) -> Iterator[Path]:
        """Make a folder beside the others that the block fills; a block that fails leaves nothing behind."""
        numbers = [int(folder.name.rpartition("-")[2]) for folder in self._folders()]
        folder = self.link.parent.resolve() / f".{self.link.name}-{max(numbers, default=0) + 1}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            raise click.ClickException(
                f"{folder} is being made by another command: wait for that one"
            ) from None
        try:
            yield folder
            (folder / _NOTE).write_bytes(msgspec.json.encode(note))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def point_to(self, folder: Path) -> None:
        """Let the link point to a folder, in one step; of the former ones only the last is kept."""
        former = self.current
        beside = self.link.with_name(f".{self.link.name}.new")
        beside.unlink(missing_ok=True)
        beside.symlink_to(folder.name, target_is_directory=True)
        beside.replace(self.link)
        for other in self._folders():
            if other not in {folder, former}:
                shutil.rmtree(other, ignore_errors=True)

    def remove(self) -> None:
        """Delete the link and all its folders."""
        folders = self._folders()
        self.link.unlink(missing_ok=True)
        for folder in folders:
            shutil.rmtree(folder)

    def _folders(self) -> list[Path]:
        parent = self.link.parent.resolve()
        named = re.compile(rf"\.{re.escape(self.link.name)}-\d+")
        inside = sorted(parent.iterdir()) if parent.is_dir() else []
        return [one for one in inside if named.fullmatch(one.name) and one.is_dir()]
