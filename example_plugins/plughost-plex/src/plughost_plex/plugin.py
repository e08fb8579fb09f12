"""The plugin: puts its parts together, adds routes and a panel, keeps connections and tokens alive."""

from __future__ import annotations

import ssl
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct

from plughost import Plugin, PluginContext, hookimpl
from plughost.contracts import (
    SYSTEM_CLOCK,
    AdminPanel,
    Artifact,
    AuthAttempt,
    BackupPlan,
    CacheManager,
    Clock,
    GuardedRoute,
    HealthCheck,
    RestorePlan,
    Verdict,
    restore_sqlite,
    sqlite_artifact,
)
from plughost.exceptions import ServiceError
from plughost_images.protocols import ImageOrigin
from plughost_plex import hookspecs
from plughost_plex.answers import Answers
from plughost_plex.device_tokens import ACCOUNT_TOKEN, DEVICE_KEY
from plughost_plex.elsewhere import Elsewhere
from plughost_plex.keeping_up import KeepingUp
from plughost_plex.notifications import Notifications
from plughost_plex.panel import PlexPanel
from plughost_plex.playback import Playback
from plughost_plex.plex_tv import PlexTv
from plughost_plex.protocols import Account, Plex, PlexError, Server
from plughost_plex.servers import SERVER_TOKEN, Servers
from plughost_plex.service import PlexService
from plughost_plex.shelf import Shelf
from plughost_plex.sign_in import SignIn
from plughost_upstream.protocols import UpstreamError, Upstreams
from plughost_vault.protocols import Reseal, Vault

_PROBE_EACH, _SYNC_EACH, _HISTORY_EACH = 300.0, 900.0, 300.0
_WARM_AT, _UPKEEP_AT = "45 4 * * *", "35 3 * * *"
_LAST_CALLS = 5.0


class PlexConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[plugins.plex.config]``.

    Attributes:
        product: Name of the application, as people read it on the page that asks them.
        allowed_users: Names of Plex accounts that may sign in; empty for all.
        roles: Roles that who signs in with Plex gets.
        keep_warm: Whether activities and history are loaded again before their time is over, while somebody reads them.
        plex_tv: Where plex.tv is; for tests.
        auth_page: The page that asks people; for tests.
        deadline: Seconds that somebody waits for a server when nothing is kept.
        patience: Seconds that a way to a server has to answer when all are tried.
        ca_file: Certificates of authorities that vouch for servers beside the system's.
        device_tokens: Whether tokens that never end are replaced by such of a week, which a key of ours renews.
        notifications: Whether the servers of owners are listened to, so that what changes there is known at once.
        warning_header: Whether stale answers say so in ``Warning``, too, which is obsolete since RFC 9111.
    """

    product: str = "plughost"
    allowed_users: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    keep_warm: bool = True
    plex_tv: str = "https://plex.tv"
    auth_page: str = "https://app.plex.tv/auth"
    deadline: Annotated[float, Meta(gt=0)] = 8.0
    patience: Annotated[float, Meta(gt=0)] = 3.0
    ca_file: Path | None = None
    warning_header: bool = False
    device_tokens: bool = True
    notifications: bool = False


class PlexPlugin(Plugin):
    """Provides ``Plex``.

    Args:
        clock: Time.
    """

    name = "plex"
    version = "1.0.0"
    after = ("cache", "images", "sessions", "upstream", "vault")
    Config: ClassVar[type[Any] | None] = PlexConfig

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock

    async def check_config(self, config: PlexConfig) -> None:
        """Refuse a file without certificates: no server that needs it would ever be reached."""
        if config.ca_file is None:
            return
        try:
            ssl.create_default_context(cafile=config.ca_file)
        except OSError as error:  # as the errors of ssl are
            raise ValueError(
                f"ca_file {str(config.ca_file)!r} has no certificates: {error.strerror}"
            ) from None

    async def start(self, context: PluginContext) -> None:
        """Open the file and provide the service."""
        config: PlexConfig = context.config
        # Other plugins are asked each time: they come and go, and this one goes on with what is left.
        upstreams = lambda: context.use(Upstreams)  # noqa: E731
        vault = lambda: context.use(Vault)  # noqa: E731
        self._file = context.data_dir / "plex.db"
        self._shelf = Shelf(self._file)
        context.on_stop(self._shelf.close)
        client = {
            "X-Plex-Product": config.product,
            "X-Plex-Version": self.version,
            "X-Plex-Platform": "plughost",
            "X-Plex-Client-Identifier": self._shelf.setting("client_identifier", lambda: str(uuid.uuid4())),
        }
        plex_tv = PlexTv(upstreams, config.plex_tv, config.auth_page, client)
        self._servers = Servers(
            self._shelf, plex_tv, upstreams, vault, client, context.hooks, config, self._clock
        )
        answers = Answers(
            self._servers, lambda: context.use(CacheManager), warm=config.keep_warm, clock=self._clock
        )
        sign_in = SignIn(plex_tv, self._servers, config, context.hooks, self._clock)
        playback = Playback(self._servers, vault, self._clock)
        self._plex = PlexService(self._shelf, self._servers, answers, sign_in, playback, context.hooks)
        self._log, self._warn = context.log, config.warning_header
        context.register_hookspecs(hookspecs)
        context.provide(Plex, self._plex)
        context.every(_PROBE_EACH, self._probe_all, name="plex connections")
        # Not so many seconds from the start on: a host that begins anew each day would never come to it.
        context.cron(_UPKEEP_AT, self._keep_alive, name="plex tokens")
        keeping_up = KeepingUp(self._plex)
        context.every(_SYNC_EACH, keeping_up.sync, name="plex library sync")
        self._elsewhere = Elsewhere(self._plex)
        context.every(_HISTORY_EACH, self._elsewhere.sync, name="plex history sync")
        if config.notifications:
            context.spawn(Notifications(self._plex, self._elsewhere.sync, self._clock).run)
        context.cron(_WARM_AT, keeping_up.warm, name="warm what is watched next")

    async def stop(self) -> None:
        """Answer who asks the server now; then nobody needs the file."""
        await self._plex.answers.under_way.end(_LAST_CALLS)

    def status(self) -> Mapping[str, object]:
        """How many answers were given, and what that cost."""
        answers = self._plex.answers
        return {"answers": answers.reads.total(), "calls": answers.calls.total()}

    @hookimpl
    async def authenticate(self, attempt: AuthAttempt) -> Verdict:
        """Allow whom a PIN has proved."""
        return self._plex.sign_in.verdict(attempt)

    @hookimpl(optionalhook=True)
    async def image_source(self, name: str) -> ImageOrigin | None:
        """Say where pictures of Plex come from."""
        return self._plex.image_origin() if name == "plex" else None

    @hookimpl(optionalhook=True)
    async def media_watched(self, account: Account, machine: str, key: str, at: float) -> None:
        """Note what needs not be told again when the server says it."""
        await self._elsewhere.told(account, machine, key, at)

    @hookimpl(optionalhook=True)
    async def reseal_secrets(self, reseal: Reseal) -> int | None:
        """Put every token under the newest key."""
        tokens = await self._shelf.tokens()
        for user_id, machine, sealed in tokens:
            purpose = SERVER_TOKEN + machine if machine else ACCOUNT_TOKEN
            await self._shelf.reseal(user_id, machine, reseal(sealed, owner=user_id, purpose=purpose))
        devices = await self._shelf.devices()
        for user_id, device in devices.items():
            sealed = reseal(device.key, owner=user_id, purpose=DEVICE_KEY)
            await self._shelf.keep_device(user_id, sealed, device.until)
        return len(tokens) + len(devices) or None

    @hookimpl
    def provide_backup_artifacts(self, plan: BackupPlan) -> Sequence[Artifact]:
        """Give who is linked, with the sealed tokens; the key of the vault that opens them is in no backup."""
        return [] if plan.apps else [sqlite_artifact(self._file)]

    @hookimpl(blocking=True)
    def restore_artifact(self, artifact: Artifact, plan: RestorePlan) -> bool | None:
        """Put that back."""
        if artifact.plugin != self.name or artifact.path is None:
            return None
        restore_sqlite(artifact.path, self._file, overwrite=plan.overwrite)
        return True

    @hookimpl
    def register_routes(self) -> Sequence[GuardedRoute]:
        """Add the routes."""
        from plughost_plex.routes import Routes

        return Routes(self._plex, self._clock, warn=self._warn).all()

    @hookimpl
    def register_admin_panels(self) -> Sequence[AdminPanel]:
        """Add the tab."""
        return [PlexPanel(self._plex, self._probe_all).panel()]

    @hookimpl
    async def health_check(self, app_name: str | None) -> HealthCheck | None:
        """Warn of servers that cannot be reached, and of those that only a relay reaches."""
        if app_name is not None:
            return None
        servers = await self._all_servers()
        away = sorted({server.name for server in servers if server.ways and server.way is None})
        slow = sorted({server.name for server in servers if server.reached_by == "relay"})
        told = [f"away: {', '.join(away)}"] * bool(away) + [
            f"by relay only, 2 Mbit/s at most: {', '.join(slow)}"
        ] * bool(slow)
        figures = {"servers": len(servers), **self.status()}
        return HealthCheck(
            name="plex", status="warn" if told else "pass", detail="; ".join(told), figures=figures
        )

    async def _all_servers(self) -> list[Server]:
        accounts = await self._shelf.accounts()
        return [server for account in accounts for server in await self._shelf.servers(account.user_id)]

    async def _probe_all(self) -> tuple[int, int]:
        reached = away = 0
        for server in await self._all_servers():
            try:
                await self._servers.probe(server)
                reached += 1
            except (PlexError, UpstreamError, ServiceError) as error:
                away += 1
                self._log.info("a Plex server is away", server=server.name, error=type(error).__name__)
        return reached, away

    async def _keep_alive(self) -> None:
        for account in await self._shelf.accounts():
            await self._keep_one_alive(account)

    async def _keep_one_alive(self, account: Account) -> None:
        try:
            await self._servers.keep_alive(account)
        except (PlexError, UpstreamError, ServiceError) as error:
            self._log.warning(
                "a token for Plex could not be kept alive", user=account.user_id, error=type(error).__name__
            )
