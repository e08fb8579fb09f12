"""Jobs that are to run once now: which one is meant by a name, and why it cannot be."""

from __future__ import annotations

from plughost.contracts import FleetStore
from plughost.exceptions import FleetError

_REFUSALS = {
    "running": "it runs already",
    "nobody": "no host that lives and takes work has it",
}


async def ask_for_run(store: FleetStore, name: str) -> tuple[str, int]:
    """Have a job run once, on whichever host claims it first.

    Args:
        store: Where the fleet meets.
        name: ``OWNER:NAME``, or the name alone.

    Returns:
        Its key, and the slot of the run.

    Raises:
        FleetError: It cannot run now, or the name is not that of one job.
    """
    view = await store.view()
    found = [one.job for one in view.jobs if name in (one.job, one.job.partition(":")[2])]
    if len(found) != 1:
        known = ", ".join(found or [one.job for one in view.jobs]) or "there is none"
        raise FleetError(f"{'several jobs are' if found else 'no job is'} named {name!r}: {known}")
    key = found[0]
    asked = await store.ask_for_run(key)
    if asked.verdict != "asked":
        raise FleetError(f"{key} is not run: {_REFUSALS.get(asked.verdict, 'there is no such job')}")
    return key, asked.slot
