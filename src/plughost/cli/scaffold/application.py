"""Answers about the application that a new plugin is for: its group of entry points and its own hooks."""

from __future__ import annotations

import importlib.metadata
import inspect
import keyword
import re
from collections.abc import Mapping
from typing import Any

import click
import msgspec

from plughost.contracts.config import HostSection
from plughost.core.calls.declaration import read_declarations
from plughost.core.calls.declared import HookSetup

_GROUP = re.compile(r"\w+(\.\w+)*")


def application_answers(host: HostSection, group: str | None, hookspecs: str | None) -> dict[str, Any]:
    """Return what the template is told of the application; what is not given comes from its configuration.

    Args:
        host: The table ``[host]`` of the configuration.
        group: The group of entry points; None for the last that this host reads.
        hookspecs: Where it declares hooks, separated by commas; None for what this host reads.

    Raises:
        click.UsageError: The group is not a name.
        ConfigError: The hooks cannot be imported, or there are none.
    """
    chosen = group or host.plugin_groups[-1]
    if not _GROUP.fullmatch(chosen):
        raise click.UsageError(f"--group: {chosen!r} is not a group of entry points, such as acme.plugins.")
    given = (
        host.hookspecs
        if hookspecs is None
        else tuple(one.strip() for one in hookspecs.split(",") if one.strip())
    )
    answers: dict[str, Any] = {"group": chosen, "hookspecs": ",".join(given)}
    if given:
        setup = HookSetup.of(msgspec.structs.replace(host, hookspecs=given))
        stubs: list[Mapping[str, Any]] = []  # what an implementation of each hook looks like
        for namespace in setup.hookspecs:
            for declared in read_declarations(setup.manager(), namespace, setup.terms):
                summary = (inspect.getdoc(declared.function) or "").partition("\n")[0].replace("\\", "/")
                stub = {
                    "name": declared.name,
                    "arguments": [name for name in declared.arguments if not keyword.iskeyword(name)],
                    "waits": inspect.iscoroutinefunction(declared.function),
                    "summary": summary.replace('"', "'") or f"Answer the application's hook {declared.name}.",
                }
                stubs.append(stub)
        answers["own_hooks"] = stubs
        module = given[0].partition(":")[0].partition(".")[0]
        answers["application"] = importlib.metadata.packages_distributions().get(module, [module])[0]
    return answers
