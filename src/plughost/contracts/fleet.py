"""The fleet: several hosts that are seen and steered as one, and what they agree on.

Times of day are seconds since the epoch as the fleet's store counts them; the clocks of the hosts do not matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from types import MappingProxyType
from typing import Any, Literal, Protocol, runtime_checkable

from plughost._dataclasses import dataclass

MemberState = Literal["alive", "lagging", "draining", "lost", "left"]
"""What people are told of a host.

``lagging``: it lives, and has not followed for a minute and a half what it is to. ``lost``: it has not told that it
lives for its whole time to live. ``left``: it stopped in order.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberPlugin:
    """One plugin of one member.

    Attributes:
        name: Its name.
        version: Its version.
        state: Its state, as in ``PluginRecord.state``.
        error: Why it failed; empty when it did not.
    """

    name: str
    version: str = ""
    state: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetMember:
    """One host of the fleet, as the store knows it.

    Attributes:
        id: Its name in the fleet; a process that takes the place of a dead one has the same.
        incarnation: Grows each time a process joins under that name.
        state: Whether it lives.
        connected: Whether it may do what only one host does; of others than this host, whether it lives.
        ready: Whether the host is ready.
        host_name: Name of the host, as in its configuration.
        machine: Name of the machine.
        pid: Its process.
        worker: Which of the processes of ``plughost serve --workers`` it is, from 0; None when it serves alone.
        version: Version of plughost.
        address: ``HOST:PORT`` at which its figures are asked for, as its configuration says; empty when it does not.
        applied: The revision of the fleet's configuration that it follows.
        joined: When this incarnation joined.
        seen_age: Seconds since it last told that it lives.
        error: What keeps it from the store, or from following the fleet's last revision; empty when nothing does.
        calls: What its plugins were asked for in the last minute: hook calls, and requests at their routes. After
            a revision it is counted anew.
        failures: How many of these failed.
        plugins: Its plugins, by name.
    """

    id: str
    incarnation: int
    state: MemberState = "alive"
    connected: bool = False
    ready: bool = False
    host_name: str = ""
    machine: str = ""
    pid: int = 0
    worker: int | None = None
    version: str = ""
    address: str = ""
    applied: int = 0
    joined: float = 0.0
    seen_age: float = 0.0
    error: str = ""
    calls: int = 0
    failures: int = 0
    plugins: tuple[MemberPlugin, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetJobRecord:
    """What the fleet knows of one job with ``scope="fleet"``.

    Attributes:
        job: ``OWNER:NAME``.
        schedule: When it runs, for people.
        state: What became of the last run: empty before the first, ``running``, ``done``, ``failed``, or ``lost``
            when its host was lost.
        slot: The newest slot that was given out or accounted for.
        next_slot: When it is due again.
        member: Who ran it last, or runs it.
        token: That run's number, which only grows.
        attempt: Which try of its slot it was.
        began: When it began.
        ended: When it ended; 0 while it runs.
        starts: How many runs were started.
        failures: How many of them failed or were lost.
        missed: How many slots passed with nobody there to start them.
        skipped: How many slots were left out, because the run before had not ended.
        error: What the last run failed of.
    """

    job: str
    schedule: str = ""
    state: str = ""
    slot: float = 0.0
    next_slot: float = 0.0
    member: str = ""
    token: int = 0
    attempt: int = 0
    began: float = 0.0
    ended: float = 0.0
    starts: int = 0
    failures: int = 0
    missed: int = 0
    skipped: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetStatus:
    """The whole fleet at one moment.

    Attributes:
        name: Its name.
        store: Where it meets: ``memory``, ``sqlite``, ``redis``, ``postgresql``.
        epoch: Changes when the store lost everything.
        now: The store's time.
        members: How many there are in each state.
        versions: Plugin -> version -> how many living members run it.
        revision: The newest revision that a living member follows.
        drift: Names of plugins that do not run in the same version and state on all living members.
        jobs: The jobs of the whole fleet.
        hazards: What is wrong with the store, in sentences; fleet jobs are refused where they say so.
    """

    name: str
    store: str
    epoch: str = ""
    now: float = 0.0
    members: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    versions: Mapping[str, Mapping[str, int]] = field(default_factory=lambda: MappingProxyType({}))
    revision: int = 0
    drift: tuple[str, ...] = ()
    jobs: tuple[FleetJobRecord, ...] = ()
    hazards: tuple[str, ...] = ()


FleetAct = Literal["enable", "disable", "quarantine", "reload", "configure", "upgrade"]
"""What can be done with a plugin on all members."""


@dataclass(frozen=True, slots=True)
class FleetChange:
    """Something to be done with a plugin on every member that has it.

    What a member's environment says of a plugin stays as it is there, and the member tells so.

    Attributes:
        act: ``enable`` starts it, over the switch in a host's file; ``disable`` stops it; ``quarantine`` stops it
            until it is enabled; ``reload`` replaces it with a new instance, and reads changed code; ``configure`` gives
            it other settings, over those in a host's file; ``upgrade`` has its package fetched from ``url``.
        plugin: Its name.
        reason: Why, for those who look at it later.
        version: For ``reload`` and ``upgrade``: the version that each member must have afterwards; empty for any.
        config: For ``configure``: new values by key; None leaves a key to each host again. A secret is written as a
            reference (``{"$env": "NAME"}`` or ``{"$file": "path"}``), which each member follows by itself.
        url: For ``upgrade``: where a wheel or zip file is fetched from; empty for where each host has it. A member
            fetches only what its own ``allow_urls`` lets it.
        sha256: For ``upgrade``: the digest that it must have.
        force: Whether it may name a plugin that no host of the fleet is known to have.
    """

    act: FleetAct
    plugin: str
    reason: str = ""
    version: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    url: str = ""
    sha256: str = ""
    force: bool = False


RolloutAct = Literal["pause", "resume", "abort"]
"""What can be done with a roll-out that is under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPlan:
    """How a change goes from one member to the next. Lengths of time are seconds.

    Attributes:
        canary: How many members follow first.
        batch: How many follow at a time after that: a number, or a share of all such as ``25%``.
        max_unavailable: How many members may be away or not ready at the same time, whatever the reason.
        settle: How long those that follow must stay ready before others do.
        healthy_deadline: How long a member may take to follow and be ready.
        progress_deadline: How long the whole may stand still.
        revert: Whether what goes wrong is taken back on those that follow; otherwise it only stops.
        max_error_ratio: How many times as often as on the others hook calls and requests may fail on those that
            follow, five failures or more, while they settle; 0 does not look at it. Where the others are asked for
            nothing, the minute before they followed counts.
    """

    canary: int = 1
    batch: str = "25%"
    max_unavailable: int = 1
    settle: float = 10.0
    healthy_deadline: float = 300.0
    progress_deadline: float = 600.0
    revert: bool = True
    max_error_ratio: float = 2.0


RolloutState = Literal[
    "proposed", "rolling", "settling", "paused", "done", "failed", "reverting", "reverted", "stuck"
]
"""How far a change has come.

``proposed``: nobody follows yet. ``rolling``: some have not told that they follow. ``settling``: they do, and must stay
ready for a while. ``failed``: a member could not follow, and it is left at that. ``reverting``: those that followed go
back, and ``reverted`` when they have; ``stuck`` when one of them could not.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """How far the members follow a revision.

    Attributes:
        id: Its name.
        revision: The revision.
        state: How far it has come.
        results: Living member -> ``applied``, ``waiting``, ``not yet`` before its turn, or why it could not follow. It
            is not asked again.
        reason: What went wrong; empty when nothing did.
        waits_for: What must happen before it goes on, as of now; empty when it goes no further.
    """

    id: str
    revision: int
    state: RolloutState
    results: Mapping[str, str]
    reason: str = ""
    waits_for: str = ""

    @property
    def ended(self) -> bool:
        """Whether it goes no further."""
        return self.state in ("done", "failed", "reverted", "stuck")


@runtime_checkable
class Fleet(Protocol):
    """The service of the fleet plugin: ``host.use(Fleet)``, ``context.use(Fleet)``."""

    @property
    def member(self) -> FleetMember:
        """This host; ``connected`` says whether it may do what only one host does."""

    async def members(self) -> Sequence[FleetMember]:
        """Return all members, the lost and those that left a day ago or less, by name.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """

    async def status(self) -> FleetStatus:
        """Return the whole fleet.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """

    async def propose(
        self,
        change: FleetChange,
        plan: RolloutPlan | None = None,
        *,
        expect: int | None = None,
        author: str = "",
    ) -> Rollout:
        """Have a change made on all members; those that join later follow it too.

        ``disable`` and ``quarantine`` without a plan are made even while another change is rolled out, which goes back.

        Args:
            change: What is to be done.
            plan: How it goes from one member to the next; None for all at once.
            expect: The revision that the change was decided on; None for whichever there is.
            author: Who wants it; this host by default.

        Raises:
            FleetError: Another revision is the newest than the expected one, another change is being rolled out,
                no host has a plugin of that name, or nothing can be steered here.
            StoreUnavailableError: The store cannot be reached.
        """

    async def publish(self, event: object) -> None:
        """Have an event told on every host of the fleet, this one too, to those who subscribed to its class there.

        It returns when the event is on its way. Hosts hear all events in the same order, each at most once; one that
        was cut off hears them when it is back, or ``FleetEventsMissed`` when they are gone. A host that joins hears
        what comes after that. While the store is away up to 1,000 events are kept here, and told when it is back.

        Args:
            event: An instance of a class with ``@fleet_event``.

        Raises:
            FleetError: Its class is not one, it holds something secret or more than 8 kB, or this host takes no part.
            StoreUnavailableError: The store has been away for so long that no more events are kept.
        """

    async def steer_rollout(self, name: str, act: RolloutAct, /) -> Rollout:
        """Pause, resume or abort a roll-out; an aborted one goes back.

        Raises:
            FleetError: It is not under way.
            StoreUnavailableError: The store cannot be reached.
        """

    async def drain(
        self, host: str, /, *, on: bool = True, author: str = "", reason: str = ""
    ) -> Sequence[str]:
        """Have a host take no more work: its ``/readyz`` fails, and it runs no jobs of the fleet; what runs goes on.

        It stays so when it is started again, until it is let take work again. A roll-out leaves it out, and counts it
        among those that are away.

        Args:
            host: Name of a member, or of a machine for all members on it.
            on: False lets it take work again.
            author: Who wants it; this host by default.
            reason: Why.

        Returns:
            The names of the members.

        Raises:
            FleetError: There is none of that name, it does not follow the fleet, or nothing can be steered here.
            StoreUnavailableError: The store cannot be reached.
        """

    async def run_job(self, name: str, /) -> FleetJobRecord:
        """Have a job run once now, on whichever host claims it first; it returns when that is asked for.

        Args:
            name: ``OWNER:NAME``, or the name alone.

        Returns:
            The job as it is then; ``slot`` is the moment that the run is for.

        Raises:
            FleetError: It runs already, no host that lives and takes work has it, or the name is not that of one job.
            StoreUnavailableError: The store cannot be reached.
        """

    async def rollout(self, name: str, /) -> Rollout | None:
        """Return how far a change has come; None when there is none of that ``id``.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """


@dataclass(frozen=True, slots=True)
class RolloutChanged:
    """Event: a change came further on its way; told on the member that takes it further.

    Attributes:
        revision: The revision.
        state: How far it is now.
        turn: The members that follow it.
        reason: What went wrong; empty when nothing did.
    """

    revision: int
    state: RolloutState
    turn: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class MemberJoined:
    """Event: a host joined the fleet; told on every member, when it hears of it."""

    member: FleetMember


@dataclass(frozen=True, slots=True)
class MemberLost:
    """Event: a host has not told in its whole time to live that it lives, or another took its place."""

    member: FleetMember


@dataclass(frozen=True, slots=True)
class MemberLeft:
    """Event: a host left the fleet in order."""

    member: FleetMember


@dataclass(frozen=True, slots=True)
class FleetJobSkipped:
    """Event: slots of a fleet job will not run; told on the member that accounted for them.

    Attributes:
        job: ``OWNER:NAME``.
        slot: The newest of them, or a moment soon after it.
        reason: ``missed``: nobody was there to start them, or the store that knew of them has lost everything;
            ``running``: the run before had not ended.
        count: How many.
    """

    job: str
    slot: float
    reason: Literal["missed", "running"]
    count: int = 1
