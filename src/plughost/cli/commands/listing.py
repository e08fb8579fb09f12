"""``plughost list``: every plugin that is found, and why it would run or not."""

from __future__ import annotations

import click

from plughost.cli.documents import candidate_document
from plughost.cli.program import Program
from plughost.cli.tables import state, table
from plughost.contracts.commands import json_option
from plughost.core.finding.survey import survey
from plughost.core.loading.remembered import HostMemory


@click.command("list")
@json_option
@click.pass_obj
def list_plugins(program: Program) -> None:
    """List every plugin that is installed, in the plugin directory or configured.

    Only metadata are read: the state is `discovered` for a plugin that a host would load. Whether it then
    starts is what `plughost run --once` tells.
    """
    loaded = program.load_config()
    candidates = survey(loaded)
    document = {
        "host": loaded.config.host.name,
        "config": None if loaded.path is None else str(loaded.path),
        "plugins": [candidate_document(candidate) for candidate in candidates],
    }
    rows = [
        (
            candidate.name,
            candidate.finding.version or "-",
            state(candidate.verdict),
            candidate.finding.distribution or candidate.finding.source,
            candidate.reason or candidate.card.description,
        )
        for candidate in candidates
    ]
    nothing = "No plugins. Install one with pip, or name a plugin_dir in the configuration."
    program.show(document, table(("PLUGIN", "VERSION", "STATE", "FROM", ""), rows) if rows else nothing)
    for seen in HostMemory.of(loaded).lost(candidates):
        program.talk(f"Gone: {seen}.")
