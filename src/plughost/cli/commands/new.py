"""``plughost new``: from nothing to an installable, tested plugin."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from plughost.cli.program import Program
from plughost.cli.scaffold.application import application_answers
from plughost.cli.scaffold.questions import TEMPLATE, Template, TemplateQuestion, read_template
from plughost.cli.scaffold.rendering import complete, render
from plughost.contracts.commands import json_option
from plughost.contracts.counting import counted

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_TAKEN = frozenset({"admin", "cache", "database", "plughost", "sessions", "testing"})
"""Names of the plugins that come with plughost, and of what plughost calls itself."""

_LONGEST = 40
_LONGEST_LINE = 90


@click.command()
@json_option
@click.argument("name", required=False)
@click.option("--yes", is_flag=True, help="Ask nothing; what is not given takes its default.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    help="What it adds: hooks, service, routes, command, job, panel, upstream. Repeat, or join by commas.",
)
@click.option("--path", type=click.Path(path_type=Path), help="Folder to create. Default: ./NAME.")
@click.option("--description", help="One line for lists.")
@click.option("--author", help="Who holds the copyright.")
@click.option("--licence", "--license", help="MIT, BSD-2-Clause or ISC.")
@click.option("--group", help="Group of entry points, such as acme.plugins. Default: the configuration's.")
@click.option(
    "--hookspecs",
    metavar="MODULES",
    help="Where the application declares hooks of its own: they are implemented. Default: the configuration's.",
)
@click.option(
    "--template", "show_template", is_flag=True, help="Print the path of the template, for `copier copy`."
)
@click.pass_obj
def new(
    program: Program,
    name: str | None,
    yes: bool,
    kinds: tuple[str, ...],
    path: Path | None,
    description: str | None,
    author: str | None,
    licence: str | None,
    group: str | None,
    hookspecs: str | None,
    show_template: bool,
) -> None:
    """Make a folder with a new plugin NAME: installable, with tests, checks and a licence.

    In a folder whose plughost.toml names an application, or with -c FILE, the plugin is one of that application: it has
    its group of entry points and implements its hooks. Works without a network. Nothing that exists is overwritten.
    On a terminal questions are asked for what is not given; with --yes, or without a terminal, none are.
    """
    if show_template:
        program.show({"template": str(TEMPLATE)}, str(TEMPLATE))
        return
    template = read_template()
    given = {
        "name": _checked_name(name),
        "kinds": _checked_kinds(template, kinds),
        "description": _checked_line("--description", description),
        "author": _checked_line("--author", author),
        "licence": _checked_choice(template.question("licence"), licence),
        "year": str(datetime.now(tz=UTC).year),
        **application_answers(program.load_config().config.host, group, hookspecs),
    }
    answers = {key: value for key, value in given.items() if value is not None}
    if not yes and not program.as_json and sys.stdin.isatty():
        answers |= _asked(template, answers)
    _check_command(answers)
    _make(program, template, answers, path or Path(answers["name"]))


def _checked_name(name: str | None) -> str:
    if name is None:
        raise click.UsageError("Missing argument 'NAME': what shall the plugin be called?")
    if name in _TAKEN:
        raise click.UsageError(f"{name!r} is a plugin that comes with plughost: choose another name.")
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        better = re.sub(r"[^a-z0-9]+", "-", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()).strip(
            "-0123456789"
        )
        hint = f" Did you mean {better!r}?" if _NAME.fullmatch(better) and len(better) <= _LONGEST else ""
        raise click.UsageError(
            f"{name!r} is not a name for a plugin: lower case letters and digits, words joined by dashes, beginning "
            f"with a letter, at most {_LONGEST} signs.{hint}"
        )
    return name


def _checked_kinds(template: Template, kinds: Iterable[str]) -> list[str] | None:
    question = template.question("kinds")
    wanted = [one.strip() for given in kinds for one in given.split(",") if one.strip()]
    for one in wanted:
        _checked_choice(question, one)
    return [choice for choice in question.choices if choice in wanted] or None


def _checked_choice(question: TemplateQuestion, given: str | None) -> str | None:
    if given is not None and given not in question.choices:
        raise click.UsageError(f"{question.text}: {given!r} is not one of {', '.join(question.choices)}.")
    return given


def _checked_line(option: str, given: str | None) -> str | None:
    if given is not None and not (given.isprintable() and 0 < len(given.strip()) <= _LONGEST_LINE):
        raise click.UsageError(f"{option} is one line of at most {_LONGEST_LINE} signs.")
    return given


def _check_command(answers: dict[str, Any]) -> None:
    """A command of a plugin never takes the place of one of plughost's own."""
    from plughost.cli.app import COMMANDS

    if "command" in answers.get("kinds", ()) and answers["name"] in COMMANDS:
        raise click.UsageError(
            f"`plughost {answers['name']}` is a command already: choose another name, or leave the kind 'command' out."
        )


def _asked(template: Template, answers: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for question in template.questions:
        if not question.is_asked or question.name in answers:
            continue
        default = complete(template, answers | found)[question.name]
        if question.multiple:
            said = click.prompt(
                f"{question.text} ({', '.join(question.choices)})", ",".join(default), err=True
            )
            found[question.name] = _checked_kinds(template, [said]) or default
        else:
            kind = click.Choice(question.choices) if question.choices else str
            found[question.name] = click.prompt(question.text, default, type=kind, err=True)
    return found


def _make(program: Program, template: Template, answers: dict[str, Any], target: Path) -> None:
    try:
        files = render(template, complete(template, answers), target)
    except FileExistsError as error:
        raise click.ClickException(str(error)) from None
    steps = [f"plughost run --dev {target}", f"pip install -e '{target}[test]' && pytest {target}"]
    document = {"plugin": answers["name"], "folder": str(target), "files": [*map(str, files)], "next": steps}
    lines = [f"Made {target}: {counted(len(files), 'file')}.", "Next:", *(f"  {step}" for step in steps)]
    program.show(document, "\n".join(lines))
