"""Where the secrets come from: the configuration, a file, or a file of the plugin's own."""

from __future__ import annotations

from pathlib import Path

from plughost.contracts import error_text, lacks_room, own_secret
from plughost.exceptions import ConfigError, StoreUnavailableError
from plughost.plugins.sessions.config import SessionsConfig
from plughost.plugins.sessions.crypto import check_secret

_HERE = "plugins.sessions.config"


def read_secrets(config: SessionsConfig, data_dir: Path) -> list[str]:
    """Return the secrets in force, the newest first.

    Raises:
        ConfigError: There is no secret where one is needed, or it is one that others can know.
        StoreUnavailableError: There is no room for the plugin's own.
    """
    older = [secret.reveal() for secret in config.old_secrets]
    if config.secret is not None:
        return [config.secret.reveal(), *older]
    if config.secret_file:
        return [*_read(Path(config.secret_file)), *older]
    if config.store not in ("sqlite", "memory"):
        raise ConfigError(
            "instances that share sessions must share a secret: set secret or secret_file; make one with"
            " python -c 'import secrets; print(secrets.token_urlsafe(48))'",
            path=f"{_HERE}.secret",
        )
    path = data_dir / "secret"
    try:
        own_secret(path)
    except OSError as error:
        why = f"{path} cannot be made: {error.strerror}" if error.strerror else error_text(error)
        if lacks_room(error):  # there may be some later, as for the store
            raise StoreUnavailableError(f"{why}. Make room for it") from error
        raise ConfigError(why, path=f"{_HERE}.secret_file") from error
    return [*_read(path), *older]


def _read(path: Path) -> list[str]:
    origin = f"{_HERE}.secret_file"
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{path} can be read by others: chmod 600 it", path=origin)
        lines = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as a file of secrets, one per line", path=origin) from error
    if not lines:
        raise ConfigError(f"{path} is empty: put one secret per line into it, the newest first", path=origin)
    for secret in lines:
        check_secret(secret, origin)
    return lines
