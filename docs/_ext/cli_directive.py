"""A Sphinx directive that makes the reference of the command line out of the commands themselves.

``{cli-commands}`` is a section for each command of plughost's own, subcommands included.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from plughost.cli.app import COMMANDS


class CommandLineReference(SphinxDirective):
    """``{cli-commands}``: all commands."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        top = click.Context(click.Group("plughost"), info_name="plughost")
        commands = ((name, known.load()) for name, known in COMMANDS.items())
        return [self._section(command, name, top) for name, command in commands]

    def _section(self, command: click.Command, name: str, parent: click.Context) -> nodes.section:
        context = click.Context(command, info_name=name, parent=parent)
        title = " ".join(context.command_path.split())
        section = nodes.section(names=[title.replace(" ", "-")])
        self.state.document.note_explicit_target(section)
        section += nodes.title("", "", nodes.literal(text=title))
        section += self.parse_text_to_nodes("\n\n".join(command_markdown(command, context)))
        if isinstance(command, click.Group):
            section += [self._section(inner, key, context) for key, inner in command.commands.items()]
        return section


def command_markdown(command: click.Command, context: click.Context) -> Iterator[str]:
    """What a command says of itself, as paragraphs of MyST Markdown."""
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f"```text\n{usage}\n```"
    yield inspect.cleandoc(command.help or "").replace("\b\n", "")
    options = [one for one in command.params if isinstance(one, click.Option)]
    records = [record for option in options if (record := option.get_help_record(context))]
    if records:
        rows = (f"| `{_cell(names)}` | {_cell(text)} |" for names, text in records)
        yield "\n".join(["| option | |\n|---|---|", *rows])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive."""
    app.add_directive("cli-commands", CommandLineReference)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
