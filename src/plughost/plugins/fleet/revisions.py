"""What all members are to follow: numbered, signed, never changed, and each in the place of the one before."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from hashlib import sha256

import msgspec
from msgspec.structs import replace

from plughost.contracts.fleet import FleetChange, Rollout, RolloutState
from plughost.contracts.fleet_store import FleetStore, Proposal, StoredMember
from plughost.exceptions import FleetError

_MAC_BYTES = 32
_MOST_BYTES = 65_536


class WantedState(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted of one plugin.

    Attributes:
        enabled: Whether it runs; None leaves that to each host.
        quarantined: Why it must not run anywhere; empty when it may.
        reloads: How often it was to be reloaded since the fleet began.
    """

    enabled: bool | None = None
    quarantined: str = ""
    reloads: int = 0

    @property
    def runs(self) -> bool | None:
        """Whether it is to run; None leaves that to each host."""
        return False if self.quarantined else self.enabled


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
        if change.plugin == "fleet":
            raise FleetError("the fleet cannot steer its own plugin: switch it in the file of each host")

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
        results = {one.member: _result(one, number) for one in view.members if one.lives(view.now)}
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
        case _:
            return replace(wish, reloads=wish.reloads + 1)


def _result(member: StoredMember, number: int) -> str:
    if member.applied < number:
        return "waiting"
    return member.refused or "applied"


def _conflict(head: int, expected: int, author: str, change: str) -> str:
    return f"the fleet is at revision {head} ({change}, by {author}), and you expected {expected}: nothing was changed"
