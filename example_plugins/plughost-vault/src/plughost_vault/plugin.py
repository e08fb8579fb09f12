"""The plugin: finds its keys, provides the vault, and changes the key when it is told to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import click
from msgspec import Struct

from plughost import Plugin, PluginContext, hookimpl
from plughost.contracts import HealthCheck, Secret
from plughost.exceptions import ConfigError
from plughost_vault import hookspecs
from plughost_vault.commands import vault_group
from plughost_vault.key_file import KeyFile
from plughost_vault.protocols import Vault
from plughost_vault.ring import KeyRing
from plughost_vault.rotation import Rotation

_SHORTEST: Final = 32


class VaultConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[plugins.vault.config]``.

    Attributes:
        keys: The secrets that keys are made of, the newest first, as ``{"$env" = "VAULT_KEY"}`` or
            ``{"$file" = "/run/secrets/vault"}``. Empty has the vault make a file of its own once.
    """

    keys: tuple[Secret, ...] = ()


class VaultPlugin(Plugin):
    """Provides ``Vault``."""

    name = "vault"
    version = "1.0.0"
    Config: ClassVar[type[Any] | None] = VaultConfig

    async def check_config(self, config: VaultConfig) -> None:
        """Refuse a secret that others could guess, and one that is there twice."""
        for number, secret in enumerate(config.keys, start=1):
            if len(secret.reveal().encode()) < _SHORTEST or len(set(secret.reveal())) < 10:
                raise ValueError(
                    f"keys: number {number} is shorter than {_SHORTEST} bytes or too simple; make one with"
                    " python -c 'import secrets; print(secrets.token_urlsafe(48))'"
                )
        if len(set(config.keys)) < len(config.keys):
            raise ValueError("keys: the same key is there twice; name each once, the newest first")

    async def start(self, context: PluginContext) -> None:
        """Read the keys, or make the first one."""
        config: VaultConfig = context.config
        self._file = None if config.keys else KeyFile(context.data_dir)
        if self._file is None:
            self._ring = KeyRing(lambda: config.keys)
        else:
            self._file.prepare()
            self._ring = KeyRing(self._file.read)
            context.log.info(
                "the key of the vault lies in a file",
                path=str(self._file.path),
                advice="keep a copy apart from backups",
            )
        context.register_hookspecs(hookspecs)
        context.provide(Vault, self._ring)
        context.provide(Rotation, Rotation(self._ring, self._file, context.hooks))

    def status(self) -> Mapping[str, object]:
        """Names of the keys; they tell nothing of the secrets."""
        return {"keys": list(self._ring.key_ids), "own_file": self._file is not None}

    @hookimpl
    def health_check(self, app_name: str | None) -> HealthCheck | None:
        """Warn when the keys in the file cannot be read any more: the next start would fail."""
        if app_name is not None or self._file is None:
            return None
        try:
            self._file.read()
        except ConfigError as error:
            return HealthCheck(name="vault", status="warn", detail=str(error))
        return HealthCheck(name="vault")

    @hookimpl
    def register_commands(self) -> Sequence[click.Command]:
        """Add ``plughost vault``."""
        return [vault_group]
