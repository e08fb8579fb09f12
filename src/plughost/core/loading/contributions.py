"""What a plugin adds by a hook when it comes: its jobs. Routes and commands are asked for when needed."""

from __future__ import annotations

from plughost.contracts.jobs import Job
from plughost.core.loading.context import Facilities
from plughost.core.loading.ledger import Ledger
from plughost.exceptions import PluginInvalidError


def adopt_jobs(name: str, facilities: Facilities, ledger: Ledger) -> None:
    """Schedule what the plugin's ``register_jobs`` returns; it ends with the plugin.

    Raises:
        PluginInvalidError: It returned something else than jobs.
    """
    report = facilities.dispatcher.hooks.register_jobs.report()
    for outcome in report.outcomes:
        if outcome.plugin == name and outcome.kind == "value":
            for job in outcome.value or ():
                _adopt(name, job, facilities, ledger)


def _adopt(name: str, job: object, facilities: Facilities, ledger: Ledger) -> None:
    if not isinstance(job, Job):
        raise PluginInvalidError(
            f"register_jobs of plugin {name!r} returned {job!r}: return a list of plughost.contracts.Job",
            plugin=name,
        )
    ledger.add(lambda: facilities.jobs.add(job, owner=name))
