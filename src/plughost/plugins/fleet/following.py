"""How one host follows what the fleet wants: in a task of its own, since a plugin may take long to stop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import anyio

from plughost.contracts import HostSteering, Proposal, Steering
from plughost.exceptions import (
    ConfigError,
    FleetError,
    PluginError,
    PluginNotFoundError,
    StoreUnavailableError,
)
from plughost.plugins.fleet.copies import CopyOnDisk
from plughost.plugins.fleet.draining import LastOrder, order_for
from plughost.plugins.fleet.kit import CrewKit
from plughost.plugins.fleet.wishes import Revision, WantedState

_PAUSE = 1.0
_LOOK = 0.1


class RevisionFollower:
    """Brings a host to the revision that is active, and keeps a copy of it for a start without the store.

    Args:
        kit: What it works with; the membership is told which one is followed, and what could not be done.
        host: The host.
        copy: Where the last good copy is.
        last_order: The last order to take no more work, or to take it again.
        allow_urls: What the address of a package must begin with.
        told: Called when there is something new to tell the fleet.
    """

    def __init__(
        self,
        kit: CrewKit,
        host: HostSteering,
        *,
        copy: CopyOnDisk,
        last_order: LastOrder,
        allow_urls: tuple[str, ...],
        told: Callable[[], None],
    ) -> None:
        self._host = host
        self._store = kit.store
        self._seal = kit.seal
        self._revisions = kit.revisions
        self._membership = kit.membership
        self._copy = copy
        self._last_order = last_order
        self._allow_urls = allow_urls
        self._told = told
        self._clock = kit.clock
        self._log = kit.log
        self._step: int | None = None
        self._at_start: int | None = None
        self._changed = anyio.Event()
        self._followed = Revision()
        self._on_trial = False  # in a roll-out, before all follow
        self._unkept: bytes | None = None

    def want(self, step: int) -> None:
        """Note that something else holds for all members than before."""
        if step != self._step:
            self._step = step
            self.wake()

    def wake(self) -> None:
        """Have looked at what holds for all members now."""
        self._changed.set()

    async def begin(self) -> None:
        """Note what there is already: what was to be reloaded before this host started is nothing to do."""
        with suppress(StoreUnavailableError):
            steering = await self._store.steering()
            self._at_start = steering.newest
            await self._heed(steering)

    async def run(self) -> None:
        """Follow, until cancelled."""
        while not self._host.running:
            await self._clock.sleep(_LOOK)
        try:  # what was followed before the last stop, be the store there or not
            await self._apply(self._seal.open(await self._copy.read(), Revision))
        except FileNotFoundError:
            pass
        except (OSError, FleetError, ConfigError) as error:
            self._log.warning("the copy of the fleet's revision is not used", error=str(error))
        while True:
            self._changed = anyio.Event()
            try:
                if self._step is not None:  # it has been heard that the store is there
                    steering = await self._store.steering()
                    if self._at_start is None:
                        self._at_start = steering.newest
                    await self._heed(steering)
                    await self._follow(steering)
            except StoreUnavailableError:
                await self._clock.sleep(_PAUSE)
                continue
            await self._changed.wait()

    async def _heed(self, steering: Steering) -> None:
        """Take no more work while somebody who may say so wants that."""
        mine = self._membership
        try:
            if (order := order_for(mine.name, steering, self._seal)) is not None:
                await self._last_order.follow(order)
        except FleetError as error:
            self._log.error("an order to take no more work is not followed", error=str(error))
        except OSError as error:
            self._log.warning("no copy of the order to take no more work could be kept", error=str(error))
        last = await self._last_order.of(mine.name)
        if self._host.follows_fleet and last.on != mine.draining:
            self._log.info("the fleet drains this host", drained=last.on, author=last.author)
            self._host.drain(on=last.on)
            mine.drain(on=last.on)
            self._told()

    async def _follow(self, steering: Steering) -> None:
        if steering.newest < self._membership.applied:
            await self._put_back(steering.newest)
            return
        number = steering.active
        try:
            roll = self._revisions.roll_of(steering)
            if roll is not None:
                number = roll.wanted_of(self._membership.name, number, self._membership.applied)
            if number < self._membership.applied:
                self._log.error(
                    "the fleet is not followed", revision=number,
                    error=f"this host follows {self._membership.applied}, and going back is a new revision too: look"
                    " who can write to the store",
                )  # fmt: skip
                return
            if number != self._membership.applied:
                document = await self._revisions.document(number)
                if document is None:
                    return
                self._on_trial, self._unkept = number > steering.active, None
                await self._apply(self._seal.open(document, Revision))
                self._unkept = document
                self._told()
            self._on_trial = number > steering.active
            if self._unkept is not None and not self._on_trial:
                await self._copy.keep(self._unkept)
                self._unkept = None
        except (FleetError, ConfigError) as error:
            self._refuse(number, str(error))
            self._told()
        except OSError as error:
            self._log.warning("no copy of the fleet's revision could be kept", error=str(error))

    async def _put_back(self, newest: int) -> None:
        """Give a store that forgot revisions the last that all were to follow, as far as it is known here."""
        mine, document, kept = self._membership, b"", Revision()
        try:
            document = await self._copy.read()
            kept = self._seal.open(document, Revision)
        except FileNotFoundError:
            pass  # there was none
        except (OSError, FleetError) as error:
            self._log.warning("the copy of the fleet's revision is not used", error=str(error))
            return
        if self._on_trial:  # nobody has told that it is good, and numbers only grow
            change = (
                f"back to revision {kept.number}: the store was emptied while {mine.applied} was on its way"
            )
            kept = Revision(
                number=mine.applied + 1, parent=kept.number, author=mine.name, change=change, plugins=kept.plugins,
                made=mine.now(),
            )  # fmt: skip
            document = self._seal.close(kept)
        elif kept.number != mine.applied:
            return  # it was refused here: those that follow it give it back
        proposal = Proposal(number=kept.number, expect=newest, document=document)
        if (await self._store.propose(proposal)).accepted:
            self._log.warning(
                "the fleet's store had forgotten a revision: it is back", revision=proposal.number
            )

    async def _apply(self, revision: Revision) -> None:
        before, self._followed = self._followed, revision
        for name, wish in revision.plugins.items():
            strays = ".." in wish.url or "\\" in wish.url or not wish.url.startswith(self._allow_urls)
            if wish.url and strays:
                raise FleetError(
                    f"{name}: this host fetches no plugin from there: its allow_urls in [plugins.fleet.config] has no"
                    " beginning of the address"
                )
        origin = f"fleet r{revision.number} by {revision.author}"
        kept = self._host.lay_over({name: wish.table for name, wish in revision.plugins.items()}, origin)
        failures = [f"{setting} is left as {decided} says" for setting, decided in kept.items()]
        for name in sorted({*before.plugins, *revision.plugins}):
            was, wish = (one.plugins.get(name, WantedState()) for one in (before, revision))
            if was == wish:
                continue
            try:
                await self._bring(name, was, wish)
            except PluginNotFoundError:
                continue  # a host without the plugin has nothing to do
            except PluginError as error:
                failures.append(f"{name}: {error}")
        self._log.info(
            "followed the fleet", revision=revision.number, change=revision.change, author=revision.author,
            reason=revision.reason, failures=failures,
        )  # fmt: skip
        self._membership.applied = revision.number
        self._membership.refused = "; ".join(failures)[:500]

    async def _bring(self, name: str, was: WantedState, wish: WantedState) -> None:
        reloads = self._at_start is not None and wish.reloads > max(was.reloads, self._at_start)
        differs = (was.config, was.url, was.sha256) != (wish.config, wish.url, wish.sha256)
        record = await self._host.bring_plugin(name, again=reloads or differs)
        if (reloads or differs) and wish.version not in ("", record.version):
            raise PluginError(
                f"this host has version {record.version}, and {wish.version} is wanted", plugin=name
            )

    def _refuse(self, number: int, why: str) -> None:
        self._log.error("the fleet is not followed", revision=number, error=why)
        self._membership.applied = number
        self._membership.refused = why[:500]
