"""A fleet in Redis or Valkey: from two machines to thousands of hosts."""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import msgspec
import sniffio

from plughost.contracts import (
    MOST_EVENTS,
    MOST_REVISIONS,
    Beat,
    Claimed,
    DrainedMember,
    Enlisted,
    Enlistment,
    EventPage,
    Greeting,
    Heard,
    JobClaim,
    NextStep,
    Proposal,
    Proposed,
    RunAsked,
    RunEnd,
    Steering,
    StoredJob,
    StoredMember,
    StoredRevision,
    Telling,
    Told,
    View,
    Welcome,
    Word,
    counted,
)
from plughost.exceptions import ConfigError, StoreUnavailableError
from plughost.plugins.fleet.stores import redis_scripts as scripts
from plughost.plugins.fleet.stores.rules import KEPT
from plughost.plugins.fleet.stores.tables import TOO_NEW

try:
    from redis import exceptions as answers
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
except ImportError as error:
    raise ConfigError(
        "store = 'redis' needs the redis package: pip install 'plughost[redis]'",
        path="plugins.fleet.config.store",
    ) from error

_CONNECTIONS = 4
_LISTEN = 30.0
_LONGEST_LOOK = 5.0
"""Seconds that the keys of a server are looked through for other fleets."""

_UNREADABLE = (
    "it holds something that this plughost cannot read: another version wrote it, or somebody by hand"
)
_MAY_NOT = "the user in redis_url may not do that"
_IS_FULL = "it is out of memory: give it more, or raise its maxmemory"
_IS_REPLICA = "it is a replica: let redis_url lead to the primary"
_REFUSED_IN_WORDS = (
    ("TOONEW", TOO_NEW),
    (
        "MISCONF",
        "it cannot write to its disk, and takes no changes until it can: look at its disk and its log",
    ),
    ("NOREPLICAS", "it has fewer replicas than its min-replicas-to-write asks for"),
    ("MASTERDOWN", "it is a replica, and its primary is away"),
    ("CLUSTERDOWN", "its cluster is down"),
    (
        "MOVED",
        "it is one node of a cluster, and another has the fleet's keys: name that one, or a proxy for all",
    ),
    ("ACL failure in script", _MAY_NOT),
    ("can't run this command", _MAY_NOT),
    ("WRONGTYPE", _UNREADABLE),
    ("-OOM ", _IS_FULL),  # Redis 6 and older say so within a sentence on the script
    ("-READONLY ", _IS_REPLICA),
    ("user_script", _UNREADABLE),
)
"""What the text of an answer holds that redis-py has no class for, and what is the matter then."""

_REFUSALS: tuple[tuple[type[Exception], str], ...] = (
    (answers.ReadOnlyError, _IS_REPLICA),
    (answers.BusyLoadingError, "it is still loading its data"),
    (answers.OutOfMemoryError, _IS_FULL),
    (answers.AuthenticationError, "the name or the password in redis_url is wrong"),
    (answers.NoPermissionError, _MAY_NOT),
    (answers.TimeoutError, "it did not answer in time"),
    (answers.ConnectionError, "no connection to it could be made, or it ended"),
)


class RedisFleetStore:
    """A ``FleetStore`` over one Redis deployment. Works on asyncio only, as its client does.

    Every call is one script, and nothing is tried twice.

    Args:
        url: Where it is.
        prefix: First part of all keys, and their hash tag.
        timeout: Longest wait for a connection or an answer, in seconds.
        replicas: How many replicas must have a slot before it is run; within half of ``timeout``.
        now: Returns the time, for tests; None takes the server's own.
    """

    name = "redis"

    def __init__(
        self,
        url: str,
        *,
        prefix: str,
        timeout: float = 2.0,
        replicas: int = 0,
        now: Callable[[], float] | None = None,
    ) -> None:
        self._url = url
        self._base = f"{{{prefix}}}"
        self._timeout = timeout
        self._replicas = replicas
        self._now = now
        self._client: Redis | None = None
        self._ear: Any = None
        self._scripts: dict[str, Any] = {}
        self._cards: dict[bytes, bytes] = {}
        self._cards_mark = b""

    def __repr__(self) -> str:
        return f"RedisFleetStore(prefix={self._base!r})"  # the address may hold a password

    async def open(self) -> None:
        """Connect.

        Raises:
            ConfigError: This event loop is not asyncio's, or the address is not a Redis URL.
            StoreUnavailableError: It cannot be reached.
        """
        if sniffio.current_async_library() != "asyncio":
            raise ConfigError(
                "the Redis client works on asyncio only: run the host there, or use store = 'sqlite'",
                path="plugins.fleet.config.store",
            )
        if self._client is None:
            try:
                pool = BlockingConnectionPool.from_url(
                    self._url,
                    max_connections=_CONNECTIONS,
                    timeout=self._timeout,
                    socket_timeout=self._timeout,
                    socket_connect_timeout=self._timeout,
                    retry=Retry(NoBackoff(), 0),
                )
            except ValueError as error:
                raise ConfigError(
                    "redis_url is not the address of a server: write redis://HOST:PORT/DATABASE",
                    path="plugins.fleet.config.redis_url",
                ) from error
            self._client = Redis(connection_pool=pool)
        await self._do(self._client.ping)

    async def close(self) -> None:
        """Let the connections go."""
        await self._close_ear()
        client, self._client = self._client, None
        self._scripts.clear()
        if client is not None:
            await client.aclose()
            await client.connection_pool.disconnect()

    async def fleets(self) -> Sequence[str]:
        """Return the names of those whose keys begin like its own; nothing when its user may not look."""
        family = self._base[1:-1].rpartition(":")[0] + ":"
        pattern = re.sub(r"([*?\[\]^\\])", r"\\\1", f"{{{family}") + "*}:*"
        found, cursor, until = set(), 0, anyio.current_time() + _LONGEST_LOOK
        while True:  # a server may have millions of keys that are somebody else's
            at = cursor
            try:
                cursor, keys = await self._do(lambda: self._opened.scan(at, pattern, 10_000))  # noqa: B023 - awaited here
            except StoreUnavailableError as error:
                if isinstance(error.__context__, answers.NoPermissionError):
                    return ()
                raise
            split = (key.decode(errors="replace").rpartition("}:") for key in keys)
            found |= {name[len(family) + 1 :] for name, _, kind in split if kind in ("beat", "rev")}
            if not cursor or anyio.current_time() > until:
                return sorted(found)

    async def hazards(self) -> Sequence[str]:
        """Say whether the server may forget what decides that a slot starts once."""
        try:
            found = await self._do(lambda: self._opened.info("memory"))
            copied = await self._do(lambda: self._opened.info("replication")) if self._replicas else {}
        except StoreUnavailableError as error:
            if isinstance(error.__context__, answers.NoPermissionError):
                return ()  # then it cannot be told
            raise
        said = []
        policy = str(found.get("maxmemory_policy", ""))
        if policy.startswith("allkeys-"):
            said.append(
                f"the server evicts any key when its memory is full (maxmemory-policy {policy}), so that it could"
                " forget which slots were started: jobs of the fleet are refused. Set it to volatile-lru or"
                " noeviction, or give the fleet a server of its own."
            )
        if (have := int(copied.get("connected_slaves", 0))) < self._replicas:
            said.append(
                f"the server has {counted(have, 'replica')}, and redis_replicas asks for {self._replicas}: jobs of the"
                " fleet are refused"
            )
        return said

    async def join(self, greeting: Greeting) -> Welcome:
        """Enter a process."""
        words = greeting.member, greeting.ttl, greeting.card, greeting.process
        welcome: Welcome = await self._run(scripts.JOIN, *words, read=_welcome)
        return welcome

    async def beat(self, beat: Beat) -> Heard:
        """Hear that a member lives."""
        runs = [word for run in beat.runs for word in (run.job, run.token)]
        counts = f"{beat.calls} {beat.failures} {beat.calls_before} {beat.failures_before}"
        heard: Heard = await self._run(
            scripts.BEAT, beat.member, beat.incarnation, int(beat.ready), int(beat.draining), beat.applied, beat.lease,
            KEPT, beat.refused, int(beat.may_lead), counts, *runs, read=_heard,
        )  # fmt: skip
        return heard

    async def describe(self, member: str, incarnation: int, card: bytes) -> bool:
        """Replace what others may read of a member."""
        return bool(await self._run(scripts.DESCRIBE, member, incarnation, card))

    async def leave(self, member: str, incarnation: int) -> None:
        """Hear that a process ends in order."""
        await self._run(scripts.LEAVE, member, incarnation)

    async def enlist(self, enlistment: Enlistment) -> Enlisted:
        """Note that a member has a job, or has it no more."""
        one = enlistment
        found = await self._run(
            scripts.ENLIST, one.job, one.member, one.incarnation, one.definition, one.schedule, one.following
        )
        if not found[0]:
            return Enlisted(known=False)
        return Enlisted(known=True, slot=int(found[1]), carriers=found[2], new=bool(found[3]))

    async def claim(self, claim: JobClaim) -> Claimed:
        """Give a slot to one of those who ask for it."""
        run = self._run_copied if self._replicas else self._run
        found = await run(
            scripts.CLAIM, claim.job, claim.member, claim.incarnation, claim.definition, claim.slot, claim.previous,
            claim.following, claim.lease, claim.retries, claim.retry_pause, claim.missed, claim.skipped,
            int(claim.start), int(claim.keep),
        )  # fmt: skip
        verdict, *numbers = found
        now, slot, token, attempt, ended, have = [*map(int, numbers), 0, 0, 0, 0, 0][:6]
        if verdict == b"run" and have < self._replicas:
            why = f"{have} of {counted(self._replicas, 'replica')} had the slot in time, so it was not run"
            await self.finish(RunEnd(job=claim.job, token=token, error=why))
            raise StoreUnavailableError(f"the fleet's server: {why}")
        return Claimed(
            verdict=verdict.decode(), now=now, slot=slot, token=token, attempt=attempt, ended=ended
        )

    async def ask_for_run(self, job: str) -> RunAsked:
        """Have a job run once out of turn."""
        verdict, *slot = await self._run(scripts.ASK, job)
        return RunAsked(verdict.decode(), *map(int, slot))

    async def finish(self, end: RunEnd) -> bool:
        """Note the end of a run."""
        return bool(await self._run(scripts.FINISH, end.job, end.token, end.error))

    async def view(self) -> View:
        """Return everything at one moment."""
        seen: View = await self._run(scripts.VIEW, self._cards_mark, read=self._viewed)
        return seen

    def _viewed(self, found: list[Any]) -> View:
        now, epoch, beats, mark, cards, jobs, refusals = found
        if cards is not None:
            self._cards_mark, self._cards = mark, _pairs(cards)
        card_of, refusal_of = self._cards, _pairs(refusals)
        lines = msgspec.msgpack.decode(beats, type=list[str])
        return View(
            now=int(now),
            epoch=epoch.decode(),
            members=tuple(
                _member(name, line, card_of.get(name.encode(), b""), refusal_of.get(name.encode(), b""))
                for name, line in sorted(zip(lines[::2], lines[1::2], strict=True))
            ),
            jobs=tuple(_job(name.decode(), _pairs(flat)) for name, flat in sorted(jobs)),
        )

    async def propose(self, proposal: Proposal) -> Proposed:
        """Make a revision, when the newest is the one that is expected."""
        found = await self._run(
            scripts.PROPOSE, proposal.number, proposal.expect, proposal.document, MOST_REVISIONS,
            int(proposal.at_once), proposal.roll,
        )  # fmt: skip
        return Proposed(accepted=bool(found[0]), newest=int(found[1]))

    async def drain(self, member: str, order: bytes) -> bool:
        """Note that a member is to take no more work, or that it may."""
        return bool(await self._run(scripts.DRAIN, member, order))

    async def steering(self) -> Steering:
        """Return what holds for all members now."""
        found: Steering = await self._run(scripts.STEERING, read=_steering)
        return found

    async def go_on(self, step: NextStep) -> bool:
        """Take a roll-out further, when nothing else happened since."""
        found = await self._run(
            scripts.GO_ON, step.after, step.roll, step.active, step.number, step.document, MOST_REVISIONS
        )
        return bool(found)

    async def revisions(self) -> Sequence[StoredRevision]:
        """Return the last revisions, newest first."""
        found = _pairs(await self._run(scripts.REVISIONS))
        rows = (StoredRevision(number=int(key), document=document) for key, document in found.items())
        return sorted(rows, key=lambda one: -one.number)

    async def revision(self, number: int) -> bytes | None:
        """Return the document of one of them."""
        found: bytes | None = await self._run(scripts.REVISION, number)
        return found

    async def tell(self, telling: Telling) -> Told:
        """Number events in one order for all members."""
        told: Told = await self._run(
            scripts.TELL, telling.member, telling.incarnation, telling.first, MOST_EVENTS, *telling.events,
            read=lambda found: Told(known=bool(found[0]), last=int(found[1])),
        )  # fmt: skip
        return told

    async def events_after(self, number: int, most: int) -> EventPage:
        """Return the events with larger numbers, the oldest first."""
        first, last, events = await self._run(scripts.EVENTS, number, most, MOST_EVENTS)
        return EventPage(int(first), int(last), tuple(events))

    async def wait_for_word(self) -> Word:
        """Return when some process proposed or told something; over a connection of its own."""
        try:
            if self._ear is None:
                self._ear = self._opened.pubsub()
                await self._do(lambda: self._ear.subscribe(f"{self._base}:bus"))
            heard = None
            while heard is None:
                heard = await self._do(lambda: self._ear.get_message(True, timeout=_LISTEN))
        except StoreUnavailableError:
            await self._close_ear()
            raise
        return Word(step=heard["data"] != b"event", event=heard["data"] == b"event")

    async def _close_ear(self) -> None:
        ear, self._ear = self._ear, None
        if ear is not None:
            with contextlib.suppress(answers.RedisError, OSError):
                await ear.aclose()

    async def forget(self, member: str) -> bool:
        """Drop what is known of a member that does not live."""
        return bool(await self._run(scripts.FORGET, member))

    @property
    def _opened(self) -> Redis:
        if self._client is None:
            raise StoreUnavailableError("the fleet's store is not open")
        return self._client

    async def _run(
        self, script: str, *words: str | bytes | int, read: Callable[[Any], Any] = lambda found: found
    ) -> Any:
        """Return what ``read`` makes of the answer: what stands in the server as it stood there may be no number."""

        async def run() -> Any:
            return read(await self._evaluate(self._opened, script, *words))

        return await self._do(run)

    async def _run_copied(self, script: str, *words: str | bytes | int) -> Any:
        """Return how many replicas have what was written as one answer more."""

        async def run() -> Any:
            async with self._opened.client() as one:  # WAIT is about what was written over its own connection
                found = await self._evaluate(one, script, *words)
                return [*found, await one.wait(self._replicas, round(self._timeout * 500))]

        return await self._do(run)

    async def _evaluate(self, client: Redis, script: str, *words: str | bytes | int) -> Any:
        prepared = self._scripts.get(script)
        if prepared is None:
            prepared = self._scripts[script] = self._opened.register_script(script)
        # The second word becomes the epoch of a server that has none: another one each time it is emptied.
        now = "" if self._now is None else str(round(self._now() * 1000))
        return await prepared(keys=[self._base], args=[now, uuid.uuid4().hex, *words], client=client)

    async def _do(self, command: Callable[[], Any]) -> Any:
        try:
            return await command()
        except answers.RedisError as error:
            why = next((text for kind, text in _REFUSALS if isinstance(error, kind)), "")
            why = why or next((text for word, text in _REFUSED_IN_WORDS if word in str(error)), "")
            raise StoreUnavailableError(
                f"the fleet's server cannot be used: {why or type(error).__name__}"
            ) from None  # its text may hold the address
        except (ValueError, msgspec.MsgspecError):
            raise StoreUnavailableError(f"the fleet's server cannot be used: {_UNREADABLE}") from None
        except (OSError, TimeoutError) as error:
            raise StoreUnavailableError(
                f"the fleet's server cannot be reached: {type(error).__name__}"
            ) from None


def _welcome(found: list[Any]) -> Welcome:
    return Welcome(
        now=int(found[0]), epoch=found[1].decode(), incarnation=int(found[2]), replaced=bool(found[3]),
        event=int(found[4]),
    )  # fmt: skip


def _heard(found: list[Any]) -> Heard:
    if not found[0]:
        return Heard(known=False, now=int(found[1]))
    return Heard(
        known=True,
        now=int(found[1]),
        epoch=found[2].decode(),
        members=found[3],
        roster=int(found[4]),
        expires=int(found[5]),
        overdue=tuple(key.decode() for key in found[6]),
        lost_runs=tuple(map(int, found[7])),
        step=int(found[8]),
        leads=bool(found[9]),
        event=int(found[10]),
    )


def _steering(found: list[Any]) -> Steering:
    step, active, newest, roll, drains = found
    return Steering(
        step=int(step), active=int(active), newest=int(newest), roll=roll,
        drains=tuple(DrainedMember(name.decode(), order) for name, order in sorted(_pairs(drains).items())),
    )  # fmt: skip


def _pairs(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _member(name: str, line: str, card: bytes, refused: bytes) -> StoredMember:
    incarnation, joined, seen, ttl, gone, lost, ready, draining, applied, *counts = map(int, line.split())
    # A member of a version that did not count yet wrote fewer numbers.
    calls, failures, calls_before, failures_before = (*counts, 0, 0, 0, 0)[:4]
    return StoredMember(
        member=name, incarnation=incarnation, joined=joined, seen=seen, ttl=ttl, gone=gone, lost=bool(lost),
        ready=bool(ready), draining=bool(draining), applied=applied, card=card,
        refused=refused.decode(errors="replace"), calls=calls, failures=failures, calls_before=calls_before,
        failures_before=failures_before,
    )  # fmt: skip


def _job(name: str, fields: dict[bytes, bytes]) -> StoredJob:
    found = {key.decode(): value.decode(errors="replace") for key, value in fields.items()}
    definitions = found.pop("definitions", "").split()
    return msgspec.convert({**found, "job": name, "definitions": definitions}, StoredJob, strict=False)
