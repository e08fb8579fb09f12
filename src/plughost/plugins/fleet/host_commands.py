"""The commands of ``plughost fleet`` that are about one host or one job: drain, undrain, jobs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from typing import TypeVar

import anyio
import click

from plughost.contracts import CommandLine, FleetJobRecord, FleetStore, StoredJob, View, json_option, utc_time
from plughost.plugins.fleet.asking import ask_for_run
from plughost.plugins.fleet.cards import job_record
from plughost.plugins.fleet.draining import drain as drain_members
from plughost.plugins.fleet.reaching import author, with_store
from plughost.plugins.fleet.revisions import Revisions

T = TypeVar("T")

_LOOK = 0.1


@click.command("drain")
@click.argument("host")
@click.option("--reason", default="", help="Why; for those who look at it later.")
@click.option(
    "--wait", default=60.0, show_default=True, help="Seconds to wait for the jobs that it runs; 0 for not."
)
@json_option
@click.pass_obj
def drain(line: CommandLine, host: str, reason: str, wait: float) -> None:
    """Have HOST, a member or all members of a machine, take no more work. Exit 3 when jobs still run there."""

    async def order(store: FleetStore, revisions: Revisions) -> tuple[tuple[str, ...], tuple[str, ...]]:
        members = await drain_members(store, revisions.seal, host, on=True, author=author(), reason=reason)

        async def busy() -> tuple[str, ...]:
            view = await store.view()
            behind = {one.member for one in view.members if one.lives(view.now) and not one.draining}
            runs = {job.member for job in view.jobs if job.at(view.now).state == "running"}
            return tuple(name for name in members if name in behind | runs)

        return tuple(members), await _until_empty(busy, wait)

    _, _, (members, busy) = with_store(line, order)
    rows = [f"{name:>24}  {'still at work' if name in busy else 'drained'}" for name in members]
    line.show({"members": members, "draining": True, "busy": busy}, "\n".join(rows))
    if wait and busy:
        raise SystemExit(3)


@click.command("undrain")
@click.argument("host")
@json_option
@click.pass_obj
def undrain(line: CommandLine, host: str) -> None:
    """Let HOST, a member or all members of a machine, take work again."""

    async def order(store: FleetStore, revisions: Revisions) -> tuple[str, ...]:
        return tuple(await drain_members(store, revisions.seal, host, on=False, author=author()))

    _, _, members = with_store(line, order)
    line.show(
        {"members": members, "draining": False}, "\n".join(f"{name:>24}  takes work" for name in members)
    )


@click.group("jobs", invoke_without_command=True)
@json_option
@click.pass_context
def jobs(context: click.Context) -> None:
    """List the jobs that run once in the whole fleet; or have one run now."""
    if context.invoked_subcommand is None:

        async def look(store: FleetStore, _: Revisions) -> View:
            return await store.view()

        line: CommandLine = context.obj
        _, _, view = with_store(line, look)
        records = [job_record(job, view.now) for job in view.jobs]
        line.show({"jobs": [asdict(one) for one in records]}, "\n".join(map(job_row, records)) or "no jobs")


@jobs.command("run")
@click.argument("name")
@click.option("--wait", default=60.0, show_default=True, help="Seconds to wait for its end; 0 for not.")
@json_option
@click.pass_obj
def run_out_of_turn(line: CommandLine, name: str, wait: float) -> None:
    """Have the job NAME, or OWNER:NAME, run once now on one of the hosts. Exit 3 when it fails, or has not ended."""

    async def ask(store: FleetStore, _: Revisions) -> tuple[FleetJobRecord, bool]:
        key, slot = await ask_for_run(store, name)
        job = StoredJob(job=key)

        async def unfinished() -> tuple[str, ...]:
            nonlocal job
            view = await store.view()
            job = next(one for one in view.jobs if one.job == key).at(view.now)
            # A regular slot may have been started after it; then it has ended.
            ended = not job.asked and job.run_slot >= slot and job.state != "running"
            return () if ended else (key,)

        done = not await _until_empty(unfinished, wait)
        return replace(job_record(job, slot), slot=slot / 1000), done

    _, _, (record, done) = with_store(line, ask)
    line.show(
        {**asdict(record), "ended": done}, job_row(record) if done else f"{record.job} has not ended yet"
    )
    if wait and (not done or record.state != "done"):
        raise SystemExit(3)


def job_row(job: FleetJobRecord) -> str:
    """Return a line about a job."""
    last = "never started"
    if job.member:
        last = f"last {utc_time(job.began)} on {job.member}: {job.state}"
    figures = f"{job.starts} started, {job.failures} failed, {job.missed} missed, {job.skipped} skipped"
    return f"{job.job:>24}  {job.schedule}  {last}  ({figures})"


async def _until_empty(look: Callable[[], Awaitable[tuple[str, ...]]], wait: float) -> tuple[str, ...]:
    """Return what ``look`` finds, when that is nothing any more or the time is over."""
    found = await look()
    with anyio.move_on_after(wait):
        while found:
            await anyio.sleep(_LOOK)
            found = await look()
    return found
