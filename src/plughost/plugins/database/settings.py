"""What an app's configuration says to this plugin."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from plughost.contracts import Secret
from plughost.exceptions import ConfigError


class DatabaseSettings(Struct, frozen=True):
    """The keys of ``[apps.NAME]`` that this plugin reads; others belong to other plugins.

    Attributes:
        url: A SQLAlchemy url, with or without a driver; None when the app has no database.
        migrations: A folder of Alembic revisions, with ``versions/`` inside it.
        seeds: ``module:callable``, awaited with the app's engine after its migrations, once per database.
        models: ``module`` to import.
        version_table: Name of Alembic's table; None lets the plugin choose (see ``found.choose_table``).
    """

    url: str | None = None
    migrations: Path | None = None
    seeds: str | None = None
    models: str | None = None
    version_table: str | None = None

    @classmethod
    def of(cls, app_name: str, config: Mapping[str, Any], base: Path = Path()) -> DatabaseSettings:
        """Read an app's configuration.

        Args:
            app_name: The app.
            config: Its table.
            base: Where relative paths begin.

        Raises:
            ConfigError: A value is empty or not text.
        """
        text = {key: _text(app_name, key, config.get(key)) for key in cls.__struct_fields__}
        migrations = text.pop("migrations")
        return cls(migrations=None if migrations is None else base / migrations, **text)


def _text(app_name: str, key: str, value: object) -> str | None:
    path = f"apps.{app_name}.{key}"
    value = value.reveal() if isinstance(value, Secret) else value
    if isinstance(value, str) and not value.strip():
        raise ConfigError(f"{path} is empty: give it a value, or leave it out", path=path)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Path):
        return str(value)
    raise ConfigError(f"{path} must be text, not {type(value).__name__}", path=path)
