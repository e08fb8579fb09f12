"""What is wanted of plugins, and what a change makes of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from plughost.contracts import FleetChange, is_secret_key, masked_text
from plughost.exceptions import FleetError

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


class WantedState(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted of one plugin.

    Attributes:
        enabled: Whether it runs; None leaves that to each host.
        quarantined: Why it must not run anywhere; empty when it may.
        reloads: The last revision by which it was to be reloaded; 0 for none.
        version: Which version it must have after that; empty for whichever there is.
        config: Settings of it, laid over those of each host's file; references are followed on the host.
        url: Where its package is fetched from; empty for where each host has it.
        sha256: The digest that the package must have.
    """

    enabled: bool | None = None
    quarantined: str = ""
    reloads: int = 0
    version: str = ""
    config: Mapping[str, Any] = {}
    url: str = ""
    sha256: str = ""

    @property
    def runs(self) -> bool | None:
        """Whether it is to run; None leaves that to each host."""
        return False if self.quarantined else self.enabled

    @property
    def table(self) -> dict[str, Any]:
        """What is laid over the plugin's table."""
        table: dict[str, Any] = {} if self.runs is None else {"enabled": self.runs}
        if self.config:
            table["config"] = self.config
        if self.url:
            table |= {"url": self.url, "sha256": self.sha256, "path": None}
        return table


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the fleet wants, at one moment.

    Attributes:
        number: Larger than that of each one before.
        parent: The number of the one whose wishes it keeps, but for its change; 0 for none.
        author: Who made it.
        reason: Why, in the author's words.
        change: What is different from the one before.
        plugins: What is wanted of plugins, by name; all others are left to each host.
        made: When, in seconds since the epoch as the store counts them; 0 in those of older versions.
    """

    number: int = 0
    parent: int = 0
    author: str = ""
    reason: str = ""
    change: str = ""
    plugins: Mapping[str, WantedState] = {}
    made: float = 0.0


def changed(wish: WantedState, change: FleetChange, number: int) -> WantedState:
    """Return what is wanted of a plugin after a change, which revision ``number`` makes."""
    match change.act:
        case "enable":
            return replace(wish, enabled=True, quarantined="")
        case "disable":
            return replace(wish, enabled=False)
        case "quarantine":
            return replace(wish, quarantined=masked_text(change.reason) or "quarantined by the fleet")
        case "configure":
            config = {**wish.config, **change.config}
            return replace(wish, config={key: value for key, value in config.items() if value is not None})
        case "upgrade":
            return replace(wish, url=change.url, sha256=change.sha256.lower(), version=change.version)
        case _:
            return replace(wish, reloads=number, version=change.version)


def refuse_hopeless(change: FleetChange) -> None:
    """Refuse what no host would follow, or none may."""
    if not change.plugin.strip():
        raise FleetError("nothing was changed: say which plugin")
    if change.plugin == "fleet":
        raise FleetError("the fleet cannot steer its own plugin: switch it in the file of each host")
    if change.act == "configure" and not change.config:
        raise FleetError("nothing was changed: say which settings")
    if secrets := [*secrets_in(change.config, kinds=(str, int, float)), *_passwords_in(change.config)]:
        raise FleetError(
            f"{', '.join(secrets)} may be secret, and secrets do not travel through the fleet: write a reference,"
            ' {"$env": "NAME"} or {"$file": "path"}, which each host follows by itself'
        )
    if _shows_password(change.url):
        raise FleetError(
            "the url shows a password or a token, and secrets do not travel through the fleet: have the file where the"
            " hosts need none"
        )
    if change.act == "upgrade" and bool(change.url) is not bool(_SHA256.fullmatch(change.sha256)):
        raise FleetError(
            "an upgrade is a url with the sha256 of what is there, 64 hexadecimal digits; or neither"
        )


def secrets_in(
    value: object, path: str = "", *, secret: bool = False, kinds: tuple[type, ...] = (str,)
) -> Iterator[str]:
    """Yield the names of what is of these kinds under keys that look secret; a reference is a table and none."""
    if isinstance(value, Mapping):
        if not (len(value) == 1 and {*value} <= {"$env", "$file"}):
            for key, inner in value.items():
                name = f"{path}.{key}" if path else str(key)
                hidden = secret or is_secret_key(str(key))
                yield from secrets_in(inner, name, secret=hidden, kinds=kinds)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from secrets_in(inner, path, secret=secret, kinds=kinds)
    elif secret and isinstance(value, kinds) and value and not isinstance(value, bool):
        yield path


def _passwords_in(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of settings with a url in them that shows a password."""
    for key, value in config.items():
        texts = [value]
        while texts:
            match texts.pop():
                case str() as text if _shows_password(text):
                    yield key
                    break
                case Mapping() as table:
                    texts += table.values()
                case list() | tuple() as row:
                    texts += row


def _shows_password(text: str) -> bool:
    return "://" in text and masked_text(text) != text
