"""``plughost config``: see the configuration with where each value comes from, check it, and describe it to editors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from plughost.checks.subject import examine
from plughost.cli.documents import Document
from plughost.cli.exits import leave_with_problems
from plughost.cli.program import Program
from plughost.contracts.commands import json_option
from plughost.core.config import LoadedConfig, config_schema
from plughost.core.finding.survey import survey
from plughost.exceptions import ConfigError, PluginError, PluginNotFoundError
from plughost.flows.registration import check_settings


@click.group()
def config() -> None:
    """Show, describe or check the configuration."""


@config.command()
@json_option
@click.pass_obj
def show(program: Program) -> None:
    """Show every setting with where it came from; secrets are hidden.

    Plugins that are configured are imported, to know which of their settings they declare secret; of one that
    cannot be, only what looks secret is hidden, and it is named on standard error.
    """
    loaded = program.load_config()
    classes = _config_classes(program, loaded, only_configured=True)
    entries = [
        {"path": entry.path, "value": entry.value, "origin": entry.origin}
        for entry in loaded.entries(classes)
    ]
    lines = [
        f"{entry['path']} = {json.dumps(entry['value'], default=str)}  # {entry['origin']}"
        for entry in entries
    ]
    program.show({"config": _file(loaded), "settings": entries}, "\n".join(lines))


@config.command()
@json_option
@click.pass_obj
def schema(program: Program) -> None:
    """Write the JSON Schema of a configuration file, installed plugins included, for an editor.

    Plugins are imported; one that cannot be is described by a free table, and named on standard error.
    """
    program.show(config_schema(_config_classes(program, program.load_config())))


@config.command()
@json_option
@click.pass_obj
def check(program: Program) -> None:
    """Check the whole configuration, that of every plugin included; plugins are imported, not started."""
    try:
        loaded = program.load_config()
    except ConfigError as error:
        problems, file = (
            list(_problems_of(error)),
            None if program.config_path is None else str(program.config_path),
        )
    else:
        problems, file = list(_problems_of_plugins(loaded)), _file(loaded)
        for name in loaded.config.apps:
            try:
                check_settings(name, loaded.app_config(name))
            except ConfigError as error:
                problems += _problems_of(error)

    def line(problem: Document) -> str:
        where = f" ({problem['origin']})" if problem["origin"] else ""
        return (
            f"{problem['path']}{where}: {problem['message']}" if problem["path"] else str(problem["message"])
        )

    text = "\n".join(map(line, problems)) or "The configuration is fine."
    program.show({"config": file, "problems": problems}, text)
    leave_with_problems(problems)


def _config_classes(
    program: Program, loaded: LoadedConfig, *, only_configured: bool = False
) -> dict[str, Any]:
    """Return the ``Config`` of each plugin that is wanted, by name; None where that cannot be told."""
    classes: dict[str, Any] = {}
    for candidate in survey(loaded):
        if not candidate.wanted or (only_configured and not candidate.wish.config):
            continue
        subject = examine(candidate, loaded, {})
        classes[candidate.name] = subject.handle.config_class if subject.is_imported else None
        if subject.error is not None:
            program.talk(f"The settings of plugin {candidate.name!r} are unknown: {subject.error}")
    return classes


def _problems_of_plugins(loaded: LoadedConfig) -> Iterator[Document]:
    for candidate in survey(loaded):
        if isinstance(candidate.error, PluginNotFoundError):
            yield _problem(f"plugins.{candidate.name}", "", str(candidate.error))
        if not candidate.wanted:
            continue
        subject = examine(candidate, loaded, {})
        if subject.error is not None:
            yield _problem(f"plugins.{candidate.name}", "", str(subject.error))
            continue
        try:
            loaded.decode_plugin(candidate.name, subject.handle.config_class, candidate.wish.config)
        except ConfigError as error:
            yield from _problems_of(error)
        except PluginError as error:
            yield _problem(f"plugins.{candidate.name}", "", str(error))


def _problems_of(error: ConfigError) -> Iterator[Document]:
    if not error.problems:
        yield _problem(error.path, error.origin, str(error).removeprefix(f"{error.path} "))
    for problem in error.problems:
        yield _problem(problem.path, problem.origin, problem.message)


def _problem(path: str, origin: str, message: str) -> Document:
    return {"path": path, "origin": origin, "message": message}


def _file(loaded: LoadedConfig) -> str | None:
    return None if loaded.path is None else str(loaded.path)
