"""The group of all commands. A command is imported when it is called, and a plugin when its command is."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping

import click
from click.shell_completion import CompletionItem

from plughost._dataclasses import dataclass
from plughost.cli.colour import colour_choice
from plughost.cli.plugin_commands import find_command, names_on_cards
from plughost.cli.program import Program, config_named_in, program_of, verbose_option, with_config
from plughost.contracts.commands import json_option
from plughost.exceptions import ConfigError, PlughostError, did_you_mean


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """A command of our own that was not imported yet.

    Attributes:
        reference: ``module:attribute`` below ``plughost.cli``.
        summary: Its line in the help.
    """

    reference: str
    summary: str

    def load(self) -> click.Command:
        """Import it."""
        module, _, attribute = self.reference.partition(":")
        command: click.Command = getattr(importlib.import_module(f"plughost.cli.{module}"), attribute)
        return with_config(command)


COMMANDS: Mapping[str, LazyCommand] = {
    "serve": LazyCommand("commands.serve:serve", "Start the host with HTTP and keep it running."),
    "run": LazyCommand("commands.run:run", "Start the host without HTTP and keep it running."),
    "list": LazyCommand("commands.listing:list_plugins", "List plugins; reads metadata only."),
    "info": LazyCommand("commands.info:info", "Inspect one plugin."),
    "hooks": LazyCommand("commands.hooks:hooks", "List hooks, or describe one."),
    "check": LazyCommand("commands.check:check", "Lint plugins before publishing."),
    "doctor": LazyCommand("commands.doctor:doctor", "Find problems of an installation, and repair them."),
    "enable": LazyCommand("commands.switch:enable", "Switch a plugin on in the configuration file."),
    "disable": LazyCommand("commands.switch:disable", "Switch a plugin off in the configuration file."),
    "config": LazyCommand("commands.config:config", "Show, describe or check the configuration."),
    "stack": LazyCommand("commands.stack:stack", "Show where a plugin's own process stands."),
    "profile": LazyCommand("commands.profile:profile", "Measure how long plugins take to import and start."),
    "backup": LazyCommand("commands.backup:backup", "Back up what plugins keep: run, list, verify, restore."),
    "env": LazyCommand("commands.env:env", "Give a plugin a virtual environment of its own."),
    "freeze": LazyCommand("commands.freeze:freeze", "Pin the versions of the installed plugins."),
    "restore": LazyCommand("commands.freeze:restore", "Install the pinned plugins again."),
    "new": LazyCommand("commands.new:new", "Make a new plugin: installable, with tests."),
    "version": LazyCommand("commands.version:version", "Show versions."),
}


class ProgramGroup(click.Group):
    """Our commands by a table, those of plugins by their cards."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of our own commands, then those that plugins' cards name."""
        return [*COMMANDS, *_plugin_commands(program_of(ctx))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Our own command of that name, else a plugin's, else None."""
        if cmd_name in COMMANDS:
            return COMMANDS[cmd_name].load()
        theirs = find_command(program_of(ctx), cmd_name)
        return theirs if theirs is None else with_config(theirs)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, if need be by the configuration that is named behind it, or say which may be meant."""
        program = program_of(ctx)
        try:
            return super().resolve_command(ctx, args)
        except (click.UsageError, ConfigError) as error:
            named = config_named_in(args)
            if named is not None and named != program.config_path:
                program.config_path = named
                return self.resolve_command(ctx, args)
            if isinstance(error, ConfigError):
                raise
            hint = did_you_mean(args[0], self.list_commands(ctx))
            raise click.UsageError(error.message + hint, ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help's lists without importing a command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.summary) for name, command in COMMANDS.items()])
        if theirs := _plugin_commands(program_of(ctx)):
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(name, f"of plugin {plugin}") for name, plugin in theirs.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete names of commands without importing one: a key press must not wait for a plugin."""
        own = {name: command.summary for name, command in COMMANDS.items()}
        theirs = {name: f"of plugin {plugin}" for name, plugin in _plugin_commands(program_of(ctx)).items()}
        items = [
            CompletionItem(name, help=text)
            for name, text in (own | theirs).items()
            if name.startswith(incomplete)
        ]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> None:
        """Run the command; what it returns is not an exit code.

        Raises:
            click.ClickException: A plugin's command is ``async def``: nothing was done.
        """
        made = super().invoke(ctx)
        if inspect.iscoroutine(made):
            made.close()
            raise click.ClickException(
                f"command {ctx.invoked_subcommand!r} did nothing: it is `async def {made.__name__}`, and click awaits"
                " nothing. Make it `def`, and await within anyio.run(...)"
            )


def _plugin_commands(program: Program) -> Mapping[str, str]:
    """Commands that cards name -> the plugin; none while the configuration cannot be read."""
    try:
        cards = names_on_cards(program.load_config())
    except (PlughostError, OSError):
        return {}
    return {name: plugin for name, plugin in cards.items() if name not in COMMANDS}


@with_config
@click.group(cls=ProgramGroup, context_settings={"help_option_names": ["-h", "--help"]})
@json_option
@verbose_option
@click.option("--no-color", is_flag=True, help="No colours; NO_COLOR and FORCE_COLOR are respected too.")
@click.pass_context
def program_group(context: click.Context, no_color: bool) -> None:
    """Find, start, inspect and repair the plugins of a host.

    Data go to stdout, messages to stderr. Exit codes: 0 success, 1 failure, 2 wrong usage,
    3 problems found.
    """
    context.color = colour_choice(program_of(context).environ, refused=no_color)
