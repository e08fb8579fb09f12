"""``plughost env``: plugins with a virtual environment of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from plughost.cli.documents import Document
from plughost.cli.environments.making import Recipe, fill_environment, named, unpinned
from plughost.cli.environments.place import EnvironmentNote, EnvironmentPlace
from plughost.cli.exits import leave_with_problems
from plughost.cli.program import Program
from plughost.cli.tables import table
from plughost.contracts.commands import json_option
from plughost.contracts.config import PluginSection
from plughost.core.config import LoadedConfig, set_plugin_environment
from plughost.core.config.load import DEFAULT_FILE
from plughost.core.config.paths import match_name
from plughost.core.finding.packaged import chosen
from plughost.core.finding.sources import Finding, from_entry_points
from plughost.core.finding.survey import survey
from plughost.core.finding.virtual_environment import VirtualEnvironment
from plughost.exceptions import PluginNotFoundError, did_you_mean

C = TypeVar("C", bound=Callable[..., Any])

_FOLDER = ".venvs"


def _makes(command: C) -> C:
    """Give a command what making an environment needs to know; whatever follows is handed on to pip."""
    options = click.argument("pip_options", nargs=-1, type=click.UNPROCESSED)
    plughost = click.option("--plughost", help="What pip installs for plughost. Default: this very version.")
    python = click.option(
        "--python", help="Interpreter to make it with. Default: the one that runs this command."
    )
    return json_option(python(plughost(options(command))))


@click.group()
def env() -> None:
    """Give single plugins a virtual environment of their own, for packages that do not go with the host's."""


@env.command()
@click.argument("name")
@click.option(
    "--for", "requirement", required=True, help="What to install: DIST, DIST==VERSION, a wheel or a folder."
)
@click.option("--at", type=click.Path(path_type=Path, file_okay=False), help="Folder. Default: .venvs/NAME.")
@_makes
@click.pass_obj
def create(
    program: Program,
    name: str,
    requirement: str,
    at: Path | None,
    python: str | None,
    plughost: str | None,
    pip_options: tuple[str, ...],
) -> None:
    """Make an environment, install plugin NAME in it, and have the configuration file say so.

    What follows `--` is handed on to `pip install`, such as `-- --index-url URL`. When a step fails nothing is changed.
    """
    loaded = program.load_config()
    file = loaded.path or program.config_path or Path(DEFAULT_FILE)
    directory = file.absolute().parent
    written = (at or Path(_FOLDER) / name).as_posix()
    place = EnvironmentPlace(directory / written)
    if place.link.exists() or place.link.is_symlink():
        raise click.ClickException(
            f"{place.link} is there already: `plughost env upgrade {name}` makes it anew, `plughost env remove {name}` "
            f"deletes it"
        )
    recipe = _recipe(requirement, python, plughost, pip_options)
    found = _make(program, loaded, name, place, recipe)
    set_plugin_environment(file, name, written)
    document = {**_described(name, written, place, found), "config": str(file)}
    what = f"{found.distribution} {found.version}".strip()
    program.show(document, f"Plugin {name!r} ({what}) has its own environment in {written}.")


@env.command("list")
@json_option
@click.pass_obj
def list_environments(program: Program) -> None:
    """List plugins that have an environment of their own; nothing in it is run."""
    loaded = program.load_config()
    found = {candidate.name: candidate for candidate in survey(loaded)}
    rows = [
        {
            **_described(
                name, str(section.environment), EnvironmentPlace(_link(section, loaded)), found[name].finding
            ),
            "problem": found[name].finding.problem,
        }
        for name, section in loaded.config.plugins.items()
        if section.environment is not None
    ]
    lines = [
        (
            row["plugin"],
            row["environment"],
            row["python"] or "-",
            row["plughost"] or "-",
            f"{row['distribution']} {row['version']}".strip() or "-",
            row["problem"],
        )
        for row in rows
    ]
    none = "No plugin has an environment of its own. `plughost env create NAME --for DISTRIBUTION` makes one."
    text = table(("PLUGIN", "ENVIRONMENT", "PYTHON", "PLUGHOST", "INSTALLED", ""), lines) if rows else none
    program.show({"environments": rows}, text)
    leave_with_problems([row for row in rows if row["problem"]])


@env.command()
@click.argument("name")
@click.option("--for", "requirement", help="What to install instead of the newest version of what is there.")
@_makes
@click.pass_obj
def upgrade(
    program: Program,
    name: str,
    requirement: str | None,
    python: str | None,
    plughost: str | None,
    pip_options: tuple[str, ...],
) -> None:
    """Make the environment of plugin NAME anew, with this plughost and the newest version of what is installed in it.

    The new one takes the old one's place when it is ready and holds the plugin; until then, and when a step fails,
    the old one stays. A host that runs goes on with the old one until it reloads the plugin.
    """
    loaded, known, section = _plugin_with_environment(program, name)
    place = EnvironmentPlace(_link(section, loaded))
    note = place.note()
    if note is None:
        raise click.ClickException(
            f"{section.environment} was not made by `plughost env create`: upgrade it with its own pip"
        )
    wanted = requirement or (unpinned(note.requirement) if note.requirement else "")
    if not wanted:
        raise click.ClickException(
            f"it is not known what plugin {known!r} was installed from: say it with --for, as at the first time"
        )
    before = next(candidate.finding for candidate in survey(loaded) if candidate.name == known)
    after = _make(program, loaded, known, place, _recipe(wanted, python, plughost, pip_options))
    document = {**_described(known, str(section.environment), place, after), "before": before.version}
    program.show(document, f"Plugin {known!r}: {after.distribution} {before.version} became {after.version}.")


@env.command()
@click.argument("name")
@json_option
@click.pass_obj
def remove(program: Program, name: str) -> None:
    """Delete the environment of plugin NAME, and take it out of the configuration file.

    A folder that `plughost env create` did not make is left alone.
    """
    loaded, known, section = _plugin_with_environment(program, name)
    place = EnvironmentPlace(_link(section, loaded))
    is_ours = place.current is not None
    changed = loaded.path is not None and set_plugin_environment(loaded.path, known, None)
    if is_ours:
        place.remove()
    else:
        program.talk(f"{section.environment} was not made by `plughost env create` and is left alone.")
    if program.load_config().plugin(known).environment is not None:
        program.talk(f"Something else than the file still gives plugin {known!r} an environment.")
    said = "is deleted" if is_ours else "is no longer used"
    program.show(
        {"plugin": known, "environment": str(section.environment), "deleted": is_ours, "changed": changed},
        f"The environment {section.environment} of plugin {known!r} {said}.",
    )


def _recipe(requirement: str, python: str | None, plughost: str | None, options: tuple[str, ...]) -> Recipe:
    recipe = Recipe(requirement=requirement, options=options)
    return replace(recipe, python=python or recipe.python, plughost=plughost or recipe.plughost)


def _make(
    program: Program, loaded: LoadedConfig, name: str, place: EnvironmentPlace, recipe: Recipe
) -> Finding:
    """Fill a new folder, see that the plugin is in it, and let the place be that folder."""
    note = EnvironmentNote(plugin=name, requirement=named(recipe.requirement))
    with place.new_folder(note) as folder:
        fill_environment(folder, recipe, program.talk)
        environment = VirtualEnvironment.at(folder)
        declared = list(from_entry_points(loaded.config.host.plugin_groups, environment.import_path))
        section = PluginSection(module=loaded.plugin(name).module)
        theirs = [one for one in declared if one.distribution != "plughost"]
        found = chosen(name, theirs, section, recipe.requirement)
    place.point_to(folder)
    return found


def _plugin_with_environment(program: Program, name: str) -> tuple[LoadedConfig, str, PluginSection]:
    loaded = program.load_config()
    known = [one for one, section in loaded.config.plugins.items() if section.environment is not None]
    found = match_name(name, known)
    if found not in known:
        raise PluginNotFoundError(
            f"no plugin {name!r} has an environment of its own.{did_you_mean(name, known)} `plughost env create "
            f"{name} --for DISTRIBUTION` makes one",
            plugin=name,
        )
    return loaded, found, loaded.config.plugins[found]


def _link(section: PluginSection, loaded: LoadedConfig) -> Path:
    return loaded.located(section.environment or "").absolute()


def _described(name: str, written: str, place: EnvironmentPlace, found: Finding) -> Document:
    environment = VirtualEnvironment.at(place.link)
    return {
        "plugin": name,
        "environment": written,
        "folder": str(environment.folder),
        "python": environment.version,
        "plughost": environment.version_of("plughost"),
        "distribution": found.distribution,
        "version": found.version,
    }
