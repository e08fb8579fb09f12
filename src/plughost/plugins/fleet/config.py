"""The table ``[plugins.fleet.config]``, and the store that it names."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from plughost.contracts import FleetStore, error_text, lacks_room, own_secret
from plughost.exceptions import ConfigError, StoreUnavailableError, did_you_mean
from plughost.plugins.fleet.seal import Seal
from plughost.plugins.fleet.stores.memory import MemoryFleetStore
from plughost.plugins.fleet.stores.sqlite import SqliteFleetStore

_HERE = "plugins.fleet.config"


class FleetConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of the fleet plugin. Lengths of time are seconds.

    Attributes:
        store: Where the fleet meets: ``sqlite`` (the processes of one machine, nothing to set up), ``redis`` (Redis
            or Valkey, several machines), ``postgresql`` (dozens of hosts), ``memory`` (this process
            alone).
        path: The SQLite file; ``fleet.db`` in the plugin's data folder when empty.
        redis_url: Where Redis or Valkey is: ``redis://``, ``rediss://`` or ``unix://``.
        redis_prefix: First part of its keys; ``plughost`` when empty.
        redis_timeout: Longest wait for one answer of it.
        redis_replicas: How many of its replicas must have a slot before the slot is run; none is asked by default.
        postgresql_url: Where the database is: ``postgresql://``. The fleet has one table in it, ``plughost_fleet``.
        postgresql_timeout: Longest time for one step in it.
        name: The fleet's name, the same on all its hosts; the host's name when empty.
        member_name: This host's name in the fleet, and no other's; the machine's name, with the number of the
            worker, when empty.
        address: ``HOST:PORT`` at which Prometheus reaches this host's ``/metrics``; the API's list of targets has the
            machine's name when empty.
        secret_file: A file with the secret by which the fleet's changes are signed, the same on all hosts. Without it
            the processes of one machine make one of their own, and hosts of several cannot be steered.
        allow_urls: What addresses of packages may begin with that the fleet may have this host fetch; none by default.
        interval: How often a host tells that it lives. It counts as lost after three intervals.
        zone: The time zone in which cron expressions of the fleet's jobs are meant, such as ``Europe/Berlin``, the same
            on all hosts.
    """

    store: Literal["sqlite", "redis", "postgresql", "memory"] = "sqlite"
    path: str = ""
    redis_url: str = ""
    redis_prefix: str = ""
    redis_timeout: float = 2.0
    redis_replicas: int = 0
    postgresql_url: str = ""
    postgresql_timeout: float = 2.0
    name: str = ""
    member_name: str = ""
    address: str = ""
    secret_file: str = ""
    allow_urls: tuple[str, ...] = ()
    interval: float = 5.0
    zone: str = "UTC"

    def __repr__(self) -> str:
        """Show no address: there may be a password in it."""
        return f"FleetConfig(store={self.store!r})"

    def check(self) -> None:
        """Refuse what a type cannot.

        Raises:
            ConfigError: A setting is out of range, or does not fit another; it is named.
        """
        for engine, key, url in (
            ("redis", "redis_url", self.redis_url),
            ("postgresql", "postgresql_url", self.postgresql_url),
        ):
            _require(bool(url) or self.store != engine, key, f"is needed with store = {engine!r}")
            _require(
                self.store == engine or not url, key,
                f"would be left alone with store = {self.store!r}: say store = {engine!r}, or take it out",
            )  # fmt: skip
        _require(0.1 <= self.interval <= 60, "interval", "must be between 0.1 and 60 seconds")
        for key in ("redis_timeout", "postgresql_timeout"):
            _require(0 < getattr(self, key) <= 60, key, "must be above 0 and at most 60 seconds")
        _require(0 <= self.redis_replicas <= 100, "redis_replicas", "must be between 0 and 100")
        _require(
            self.store == "redis" or not self.redis_replicas, "redis_replicas", "is for store = 'redis' alone"
        )
        for url in self.allow_urls:
            parts = urlsplit(url)
            whole = bool(parts.scheme) and parts.path.endswith("/") and not parts.query and not parts.fragment
            _require(
                whole,
                "allow_urls",
                "must hold whole addresses that end with a slash: https://example.org/plugins/",
            )
        _require(
            not self.address or _is_address(self.address), "address",
            "must be a name or an IP address and a port, without anything around them: north.internal:8000",
        )  # fmt: skip
        self.time_zone()
        for key in ("name", "member_name", "redis_prefix"):
            text = getattr(self, key)
            odd = not text.isprintable() or len(text) > 100 or set(text) & set("{}: ")
            _require(not odd, key, "may have up to 100 signs, and no space, colon or brace")

    def time_zone(self) -> tzinfo:
        """Return the zone of cron expressions.

        Raises:
            ConfigError: There is none of that name on this machine.
        """
        if self.zone == "UTC":
            return UTC
        try:
            return ZoneInfo(self.zone)
        except (ValueError, OSError, LookupError) as error:
            known = available_timezones()
            near = did_you_mean(self.zone, known) or " It is a name such as Europe/Berlin."
            missing = "" if known else " This machine knows none: install the package tzdata."
            message = f"zone names no time zone that this machine knows: {self.zone!r}.{missing or near}"
            raise ConfigError(message, path=f"{_HERE}.zone") from error

    def make_store(self, data_dir: Path, host_name: str) -> FleetStore:
        """Return the store, not yet opened.

        Args:
            data_dir: Folder of the plugin.
            host_name: Name of the host; empty for the first fleet in a file of SQLite, whatever its name, and to look
                which there are.

        Raises:
            ConfigError: The package for its engine is missing.
        """
        if self.store == "memory":
            return MemoryFleetStore()
        if self.store == "redis":
            from plughost.plugins.fleet.stores.redis import RedisFleetStore

            prefix = f"{self.redis_prefix or 'plughost'}:fleet:{self.name or host_name}"
            return RedisFleetStore(
                self.redis_url, prefix=prefix, timeout=self.redis_timeout, replicas=self.redis_replicas
            )
        if self.store == "postgresql":
            from plughost.plugins.fleet.stores.postgresql import PostgresqlFleetStore

            return PostgresqlFleetStore(
                self.postgresql_url, fleet=self.name or host_name, timeout=self.postgresql_timeout
            )
        path = Path(self.path) if self.path else data_dir / "fleet.db"
        return SqliteFleetStore(path, fleet=self.name or host_name)

    def make_seal(self, data_dir: Path) -> Seal:
        """Return what signs and opens revisions.

        Args:
            data_dir: Folder of the plugin.

        Raises:
            ConfigError: The secret cannot be read, is too short, or others can read it.
        """
        if self.store in ("redis", "postgresql") and not self.secret_file:
            return Seal(b"")
        seal = Seal(b"", lambda: self._secret(Path(self.secret_file or data_dir / "fleet.key")))
        with suppress(StoreUnavailableError):  # the agent tries again, as it does with the store
            seal.have_key()
        return seal

    def _secret(self, path: Path) -> bytes:
        try:
            if not self.secret_file:
                own_secret(path)
            mode, secret = path.stat().st_mode, path.read_bytes().strip()
        except OSError as error:
            why = f"{path} cannot be read: {error.strerror}" if error.strerror else error_text(error)
            if lacks_room(error):
                raise StoreUnavailableError(
                    f"{path} cannot be made: {error.strerror}. Make room for it"
                ) from error
            raise ConfigError(why, path=f"{_HERE}.secret_file") from error
        _require(not mode & 0o077, "secret_file", f"{path} can be read by others: chmod 600 it")
        _require(len(secret) >= 32, "secret_file", f"{path} must hold 32 signs or more")
        return secret


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(f"//{text}")
        return bool(parts.hostname and parts.port) and parts.netloc == text and not set(text) & set("@ ")
    except ValueError:  # the port is none
        return False


def _require(condition: bool, name: str, complaint: str) -> None:
    if not condition:
        raise ConfigError(f"{name} {complaint}", path=f"{_HERE}.{name}")
