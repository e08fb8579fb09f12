"""The vault's own key file: for those who configure no keys. One secret a line, the newest first."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

from plughost.contracts import Secret, close_to_others, own_folder, replace_file
from plughost.exceptions import ConfigError

_MADE = "made"
_HERE = "plugins.vault.config.keys"


class KeyFile:
    """A file of secrets in the plugin's folder, made once.

    Beside it stands an empty file that says it was made: where the secrets are gone and that one is not, making
    new ones would hide that everything sealed is lost.

    Args:
        folder: The plugin's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "keys"
        self._made = folder / _MADE

    def prepare(self) -> None:
        """Make the file, unless it is there.

        Raises:
            ConfigError: It was there once and is gone.
        """
        own_folder(self.path.parent)
        if self.path.exists():
            return
        if self._made.exists():
            raise ConfigError(
                f"{self.path} is gone, and what it sealed cannot be opened without it: put it back from where you"
                f" keep it; or remove {self._made}, and everybody has to enter their keys and sign in again",
                path=_HERE,
            )
        self._write([_new_secret()])
        replace_file(self._made, b"", durable=True)

    def read(self) -> Sequence[Secret]:
        """Return the secrets, the newest first.

        Raises:
            ConfigError: It cannot be read, is open to others, or is empty.
        """
        try:
            close_to_others(self.path, make=False)
            lines = self.path.read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self.path} cannot be used as a file of keys: {error}", path=_HERE) from error
        if not lines:
            raise ConfigError(
                f"{self.path} is empty: put the keys back, one a line, the newest first", path=_HERE
            )
        return [Secret(line) for line in lines]

    def add(self) -> None:
        """Put a new secret before the others."""
        self._write([_new_secret(), *(secret.reveal() for secret in self.read())])

    def keep_newest(self) -> int:
        """Remove all but the newest; how many that were."""
        newest, *older = [secret.reveal() for secret in self.read()]
        self._write([newest])
        return len(older)

    def _write(self, lines: Sequence[str]) -> None:
        replace_file(self.path, "".join(f"{line}\n" for line in lines).encode(), durable=True)


def _new_secret() -> str:
    return secrets.token_urlsafe(48)
