"""What a member tells of itself, and the whole fleet made of what all of them tell."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from types import MappingProxyType
from typing import Any

import msgspec

from plughost.contracts import (
    CallCounts,
    FleetJobRecord,
    FleetMember,
    FleetStatus,
    HostSteering,
    MemberPlugin,
    MemberState,
    StoredJob,
    StoredMember,
    View,
)

APART = "it follows nothing that the fleet wants: host.fleet is off there, or safe mode is on"


class MemberCard(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a member that changes seldom."""

    host_name: str = ""
    machine: str = ""
    pid: int = 0
    worker: int | None = None
    version: str = ""
    address: str = ""
    follows: bool = True
    plugins: tuple[MemberPlugin, ...] = ()

    def facts(self) -> dict[str, Any]:
        """Return what is said of the member in the same words to people and plugins."""
        return {name: getattr(self, name) for name in self.__struct_fields__ if name != "follows"}


class OwnHost:
    """What this process tells of itself.

    Args:
        host: The host in it.
        address: Where its figures are asked for.
    """

    def __init__(self, host: HostSteering, address: str) -> None:
        self._host = host
        self._address = address

    def ready(self) -> bool:
        """Whether it is ready."""
        return self._host.ready

    def counts(self) -> CallCounts:
        """Return what its plugins were asked for since it started, and how often they failed."""
        return self._host.counts

    def card(self) -> MemberCard:
        """Return what changes seldom."""
        host = self._host
        return MemberCard(
            host_name=host.name,
            machine=socket.gethostname(),
            pid=os.getpid(),
            worker=host.worker,
            version=version("plughost"),
            address=self._address,
            follows=host.follows_fleet,
            plugins=tuple(
                MemberPlugin(
                    name=record.name,
                    version=record.version,
                    state=str(record.state),
                    error=record.error.message if record.error else "",
                )
                for record in host.plugins.values()
            ),
        )


@lru_cache(maxsize=2048)  # cards change seldom, and the page of a thousand members reads all of them
def decode_card(document: bytes) -> MemberCard:
    """Return a card as a member wrote it; an empty one when it cannot be read, be it of a newer version."""
    try:
        card = msgspec.msgpack.decode(document, type=MemberCard)
    except msgspec.MsgspecError:
        return MemberCard()
    return msgspec.structs.replace(card, plugins=_shared(card.plugins))


@lru_cache(maxsize=2048)
def _shared(plugins: tuple[MemberPlugin, ...]) -> tuple[MemberPlugin, ...]:
    """Return the first tuple with these plugins: most members have the same, and they are looked at once for all."""
    return plugins


def member_of(stored: StoredMember, now: int, lags: str = "") -> FleetMember:
    """Return a member as people and plugins see it; ``lags`` says for how long it has not come after, if it lags."""
    card = decode_card(stored.card)
    lives = stored.lives(now)
    state: MemberState = "left" if stored.gone else "lost"
    if lives:
        state = "draining" if stored.draining else "lagging" if lags else "alive"
    return FleetMember(
        id=stored.member,
        incarnation=stored.incarnation,
        state=state,
        connected=lives,
        ready=lives and stored.ready,
        applied=stored.applied,
        joined=stored.joined / 1000,
        seen_age=max(0, now - stored.seen) / 1000,
        error=stored.refused or lags or ("" if card.follows else APART),
        calls=stored.calls,
        failures=stored.failures,
        **card.facts(),
    )


def job_record(job: StoredJob, now: int) -> FleetJobRecord:
    """Return a job as people see it."""
    job = job.at(now)
    return FleetJobRecord(
        job=job.job,
        schedule=job.schedule,
        state=job.state,
        slot=job.slot / 1000,
        next_slot=job.following / 1000,
        member=job.member,
        token=job.token,
        attempt=job.attempt,
        began=job.began / 1000,
        ended=job.ended / 1000,
        starts=job.starts,
        failures=job.failures,
        missed=job.missed,
        skipped=job.skipped,
        error=job.error,
    )


def plugins_of(members: Sequence[FleetMember]) -> Counter[tuple[str, str, str]]:
    """Count on how many members each plugin is, by its name, version and state."""
    alike = {id(member.plugins): member.plugins for member in members}
    found: Counter[tuple[str, str, str]] = Counter()
    for which, count in Counter(id(member.plugins) for member in members).items():
        for one in alike[which]:
            found[one.name, one.version, one.state] += count
    return found


def members_of(view: View, laggards: Mapping[str, str]) -> list[FleetMember]:
    """Return all members as people and plugins see them, by name; ``laggards`` as of ``Revisions``."""
    return [member_of(one, view.now, laggards.get(one.member, "")) for one in view.members]


def status_of(
    name: str, store: str, view: View, members: Sequence[FleetMember], hazards: tuple[str, ...]
) -> FleetStatus:
    """Return the whole fleet, with these ``members``, as people see it."""
    living = [member for member in members if member.connected]
    versions: dict[str, Counter[str]] = {}
    kinds: Counter[str] = Counter()
    for (plugin, plugin_version, _), count in plugins_of(living).items():
        versions.setdefault(plugin, Counter())[plugin_version] += count
        kinds[plugin] += 1
    return FleetStatus(
        name=name,
        store=store,
        epoch=view.epoch,
        now=view.now / 1000,
        members=MappingProxyType(Counter(member.state for member in members)),
        versions=MappingProxyType({name: MappingProxyType(found) for name, found in versions.items()}),
        revision=max((member.applied for member in living), default=0),
        drift=tuple(
            sorted(n for n, found in versions.items() if kinds[n] > 1 or found.total() < len(living))
        ),
        jobs=tuple(job_record(job, view.now) for job in view.jobs),
        hazards=hazards,
    )
