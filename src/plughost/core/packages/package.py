"""A package: a folder, wheel or zip file that holds the code of a plugin and is not installed.

A pinned digest is checked before anything is unpacked, and again before every start of the plugin. What is unpacked
lies under the host's data folder by its digest. Nothing of it is imported here, and nothing is ever evaluated.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from plughost.core.packages.digests import check_digest, digest_of_files, remove_compiled
from plughost.exceptions import PluginSourceError


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """A wheel, zip file or folder that holds the code of a plugin.

    Attributes:
        plugin: Name of the plugin.
        place: What the configuration calls it, for messages.
        path: The file or folder; for a url, the file that was fetched.
        sha256: The digest it must have; None when none was pinned.
        store: Folder in which archives are unpacked.
    """

    plugin: str
    place: str
    path: Path
    sha256: str | None
    store: Path

    def open(self) -> Path:
        """Check it, and return the folder with its contents; called before every start.

        Raises:
            PluginSourceError: It is not there, is not what was pinned, or cannot be unpacked.
        """
        found = self._digest()
        if self.sha256 is not None:
            check_digest(self.plugin, self.place, self.sha256, found)
        if self.path.is_dir():
            return self.path
        from plughost.core.packages.unpacking import unpack  # late: most plugins are installed

        return unpack(self.plugin, self.path, self.store / found)

    def _digest(self) -> str:
        if self.path.is_dir() and self.sha256 is None:
            return ""
        if self.path.is_dir():
            try:
                remove_compiled(self.path)
            except OSError as error:
                raise PluginSourceError(
                    f"plugin {self.plugin!r}: {self.place} has a __pycache__ that cannot be removed: "
                    f"{error.strerror or error}. Python would run what is in it, and the pinned sha256 covers the "
                    "source alone. Remove it",
                    plugin=self.plugin,
                ) from error
        try:
            return digest_of_files(self.path)
        except OSError as error:
            raise PluginSourceError(
                f"plugin {self.plugin!r}: {self.place} cannot be read: {error.strerror or error}. Correct path under "
                f"[plugins.{self.plugin}]",
                plugin=self.plugin,
            ) from error
