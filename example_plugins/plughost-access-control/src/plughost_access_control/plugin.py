"""The plugin: looks at each sign-in before any provider does."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any, ClassVar

import msgspec

from plughost import Plugin, PluginContext, hookimpl
from plughost.contracts import AuthAttempt, Principal
from plughost.exceptions import AuthRefused
from plughost_access_control.rules import Addresses, Failures, Hours

REFUSED = "Signing in is not possible now."


class AccessConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules. All must be content; the person learns only that it is not possible.

    Attributes:
        allow: Networks sign-ins may come from; empty for all.
        deny: Networks they may not come from.
        hours: When, in local time, such as ``08:00-18:00``; empty for always.
        days: On which days, 0 is Monday; empty for all.
        most_failures: Failures of one name after which it is refused; 0 for no limit.
        failure_window: Seconds they are remembered.
        exempt: Names the hours do not hold for.
    """

    allow: list[str] = []
    deny: list[str] = []
    hours: str = ""
    days: list[int] = []
    most_failures: int = 5
    failure_window: float = 900.0
    exempt: list[str] = []


class AccessControlPlugin(Plugin):
    """Refuses sign-ins by address, time of day and failure count."""

    name = "access-control"
    Config: ClassVar[type[Any] | None] = AccessConfig

    async def check_config(self, config: AccessConfig) -> None:
        """Refuse rules that cannot be read: a rule that is misread must not become no rule."""
        Addresses(config.allow, config.deny)
        Hours(config.hours, config.days)

    async def start(self, context: PluginContext) -> None:
        """Read the rules."""
        config: AccessConfig = context.config
        self._addresses = Addresses(config.allow, config.deny)
        self._hours = Hours(config.hours, config.days)
        self._failures = Failures(config.most_failures, config.failure_window)
        self._exempt = {_folded(name) for name in config.exempt}

    @hookimpl(priority=100)
    def before_auth(self, attempt: AuthAttempt) -> None:
        """Refuse when one of the rules objects."""
        name = _folded(attempt.username)
        objection = self._addresses.objection(attempt.address) or self._failures.objection(
            name, time.monotonic()
        )
        if not objection and name not in self._exempt:
            objection = self._hours.objection(datetime.now().astimezone())
        if objection:
            raise AuthRefused(REFUSED, log_reason=objection)

    @hookimpl
    def auth_failed(self, attempt: AuthAttempt, reason: str) -> None:
        """Count a failure; our own refusals do not prolong themselves."""
        if reason != REFUSED:
            self._failures.note(_folded(attempt.username), time.monotonic())

    @hookimpl
    def after_auth(self, attempt: AuthAttempt, principal: Principal) -> None:
        """Begin counting again."""
        self._failures.forget(_folded(attempt.username))


def _folded(name: str) -> str:
    return name.strip().casefold()
