"""What all members are to follow: numbered, signed, never changed, and each in the place of the one before."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import Any

import msgspec
from msgspec.structs import replace

from plughost.contracts import (
    FleetChange,
    FleetStore,
    Proposal,
    Rollout,
    RolloutState,
    StoredMember,
    is_secret_key,
)
from plughost.exceptions import FleetError
from plughost.plugins.fleet.cards import decode_card

_MAC_BYTES = 32
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_MOST_BYTES = 65_536


class WantedState(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted of one plugin.

    Attributes:
        enabled: Whether it runs; None leaves that to each host.
        quarantined: Why it must not run anywhere; empty when it may.
        reloads: How often it was to be reloaded since the fleet began.
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
        parent: The number of the one before; 0 for none.
        author: Who made it.
        reason: Why, in the author's words.
        change: What is different from the one before.
        plugins: What is wanted of plugins, by name; all others are left to each host.
    """

    number: int = 0
    parent: int = 0
    author: str = ""
    reason: str = ""
    change: str = ""
    plugins: Mapping[str, WantedState] = {}


class Seal:
    """Signs revisions, and opens those that were signed with the same key.

    Args:
        key: The secret that all members share; empty when there is none, so that nothing can be steered.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def close(self, revision: Revision) -> bytes:
        """Return a revision as it is stored.

        Raises:
            FleetError: There is no key, or it is too large.
        """
        self._require_key()
        text = msgspec.msgpack.encode(revision)
        if len(text) > _MOST_BYTES:
            raise FleetError(f"the revision has {len(text)} bytes, and may have {_MOST_BYTES}")
        return hmac.digest(self._key, text, sha256) + text

    def open(self, document: bytes) -> Revision:
        """Return a revision that was stored.

        Raises:
            FleetError: It was not signed with this key, or cannot be read.
        """
        self._require_key()
        mac, text = document[:_MAC_BYTES], document[_MAC_BYTES:]
        if not hmac.compare_digest(mac, hmac.digest(self._key, text, sha256)):
            raise FleetError(
                "what the fleet's store says was not signed with this host's secret: give all hosts the same"
                " secret_file, and look who else can write to the store"
            )
        try:
            return msgspec.msgpack.decode(text, type=Revision)
        except msgspec.MsgspecError as error:
            raise FleetError(f"the revision is of another version of plughost: {error}") from error

    def _require_key(self) -> None:
        if not self._key:
            raise FleetError(
                "hosts of several machines are steered only with a secret that all of them have: set secret_file in"
                " [plugins.fleet.config]"
            )


class Revisions:
    """The revisions in a store.

    Args:
        store: Where they are.
        seal: How they are signed.
    """

    def __init__(self, store: FleetStore, seal: Seal) -> None:
        self._store = store
        self._seal = seal

    async def history(self) -> list[Revision]:
        """Return the last of them, newest first."""
        return [self._seal.open(one.document) for one in await self._store.revisions()]

    async def document(self, number: int) -> bytes | None:
        """Return one as it is stored."""
        found = (one.document for one in await self._store.revisions() if one.number == number)
        return next(found, None)

    async def propose(self, change: FleetChange, *, expect: int | None, author: str) -> Rollout:
        """Change what is wanted of one plugin."""
        _refuse(change)

        def changed(plugins: Mapping[str, WantedState]) -> Mapping[str, WantedState]:
            return {**plugins, change.plugin: _changed(plugins.get(change.plugin, WantedState()), change)}

        what = f"{change.act} {change.plugin}"
        return await self._put(what, changed, expect, author, change.reason)

    async def roll_back(self, number: int, *, expect: int | None, author: str, reason: str = "") -> Rollout:
        """Want again what an earlier revision wanted, as a new one.

        Raises:
            FleetError: There is no such revision.
        """
        document = await self.document(number)
        if document is None:
            raise FleetError(
                f"there is no revision {number}: `plughost fleet config history` shows what there is"
            )
        before = self._seal.open(document).plugins

        def changed(plugins: Mapping[str, WantedState]) -> Mapping[str, WantedState]:
            # What was reloaded stays so: the count only grows.
            return {
                name: replace(
                    before.get(name, WantedState()), reloads=plugins.get(name, WantedState()).reloads
                )
                for name in {*before, *plugins}
            }

        return await self._put(f"back to {number}", changed, expect, author, reason)

    async def rollout(self, number: int) -> Rollout:
        """Return how far the living members follow a revision."""
        view = await self._store.view()
        living = (one for one in view.members if one.lives(view.now) and decode_card(one.card).follows)
        results = {one.member: _result(one, number) for one in living}
        waiting = "waiting" in results.values()
        failed = any(result not in ("waiting", "applied") for result in results.values())
        state: RolloutState = "rolling" if waiting else "failed" if failed else "done"
        return Rollout(id=str(number), revision=number, state=state, results=results)

    async def _put(
        self,
        what: str,
        changed: Callable[[Mapping[str, WantedState]], Mapping[str, WantedState]],
        expect: int | None,
        author: str,
        reason: str,
    ) -> Rollout:
        newest = next(iter(await self.history()), Revision())
        if expect is not None and expect != newest.number:
            raise FleetError(_conflict(newest.number, expect, newest.author, newest.change))
        revision = Revision(
            number=newest.number + 1,
            parent=newest.number,
            author=author,
            reason=reason,
            change=what,
            plugins=changed(newest.plugins),
        )
        answer = await self._store.propose(
            Proposal(number=revision.number, expect=newest.number, document=self._seal.close(revision))
        )
        if not answer.accepted:
            raise FleetError(_conflict(answer.active, newest.number, "somebody else", "look at it first"))
        return await self.rollout(revision.number)


def _changed(wish: WantedState, change: FleetChange) -> WantedState:
    match change.act:
        case "enable":
            return replace(wish, enabled=True, quarantined="")
        case "disable":
            return replace(wish, enabled=False)
        case "quarantine":
            return replace(wish, quarantined=change.reason or "quarantined by the fleet")
        case "configure":
            config = {**wish.config, **change.config}
            return replace(wish, config={key: value for key, value in config.items() if value is not None})
        case "upgrade":
            return replace(wish, url=change.url, sha256=change.sha256.lower(), version=change.version)
        case _:
            return replace(wish, reloads=wish.reloads + 1, version=change.version)


def _refuse(change: FleetChange) -> None:
    """Refuse what no host would follow, or none may."""
    if change.plugin == "fleet":
        raise FleetError("the fleet cannot steer its own plugin: switch it in the file of each host")
    if change.act == "configure" and not change.config:
        raise FleetError("nothing was changed: say which settings")
    if secrets := list(_secrets_in(change.config)):
        raise FleetError(
            f"{', '.join(secrets)} may be secret, and secrets do not travel through the fleet: write a reference,"
            ' {"$env": "NAME"} or {"$file": "path"}, which each host follows by itself'
        )
    if change.act == "upgrade" and bool(change.url) is not bool(_SHA256.fullmatch(change.sha256)):
        raise FleetError(
            "an upgrade is a url with the sha256 of what is there, 64 hexadecimal digits; or neither"
        )


def _secrets_in(value: object, path: str = "", *, secret: bool = False) -> Iterator[str]:
    """Yield the names of texts under keys that look secret; a reference is a table and none."""
    if isinstance(value, Mapping):
        if not (len(value) == 1 and {*value} <= {"$env", "$file"}):
            for key, inner in value.items():
                name = f"{path}.{key}" if path else str(key)
                yield from _secrets_in(inner, name, secret=secret or is_secret_key(str(key)))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _secrets_in(inner, path, secret=secret)
    elif secret and isinstance(value, str) and value:
        yield path


def _result(member: StoredMember, number: int) -> str:
    if member.applied < number:
        return "waiting"
    return member.refused or "applied"


def _conflict(head: int, expected: int, author: str, change: str) -> str:
    return f"the fleet is at revision {head} ({change}, by {author}), and you expected {expected}: nothing was changed"
