"""What a plugin adds by a hook when it comes: its jobs. Routes and commands are asked for when needed."""

from __future__ import annotations

from functools import partial
from typing import Any

from plughost.contracts.error_text import error_line
from plughost.contracts.jobs import Job
from plughost.contracts.value_text import items_of
from plughost.core.calls.beside import manager_of
from plughost.core.containment import Point, contained
from plughost.core.loading.context import Facilities
from plughost.core.loading.ledger import Ledger
from plughost.exceptions import PluginInvalidError
from plughost.hookspecs import contributions


def adopt_jobs(name: str, target: object, facilities: Facilities, ledger: Ledger) -> None:
    """Schedule what the plugin's own ``register_jobs`` returns; it ends with the plugin.

    Not through ``hooks.register_jobs()``, which would ask every other plugin again.

    Raises:
        PluginInvalidError: It raised, or returned something else than jobs.
    """
    for hook, function, opts in manager_of(facilities.dispatcher, contributions).implementations(target):
        if hook == contributions.register_jobs.__name__ and not opts.get("wrapper"):
            for job in asked_jobs(name, function):
                ledger.add(partial(facilities.jobs.add, job, owner=name))


def asked_jobs(name: str, register_jobs: Any) -> list[Job]:
    """Return what ``register_jobs`` of a plugin returns.

    Raises:
        PluginInvalidError: It raised, or returned something else than jobs.
    """
    try:
        given = contained(Point.REGISTER_JOBS, register_jobs)
    except Exception as error:
        raise PluginInvalidError(
            f"register_jobs of plugin {name!r} raised {error_line(error)}", plugin=name, phase="register"
        ) from error
    try:
        return items_of(given, Job)
    except TypeError as error:
        raise PluginInvalidError(
            f"register_jobs of plugin {name!r} returned what cannot be used: {error}. Return a list of "
            f"plughost.contracts.Job",
            plugin=name,
            phase="register",
        ) from error
