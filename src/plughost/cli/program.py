"""One run of the command line: which configuration, which kind of output, and the host when one is needed.

Commands that read metadata only are kept quick: what belongs to a running host is imported when one is made.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from plughost.cli.documents import dumped
from plughost.cli.talk import Talk
from plughost.contracts.visible import visible
from plughost.core.config import LoadedConfig, load_config
from plughost.core.config.environment import prefixes

if TYPE_CHECKING:
    from plughost.host import Host

T = TypeVar("T")


class Program:
    """The object of the click context; a ``CommandLine`` for the commands of plugins.

    Attributes:
        environ: The environment, with what options add to it.
        as_json: Whether data are written as JSON.
        stderr: What is said to people, and in which form.
        config_path: The configuration file that was named; None leaves the choice to the environment.
        verbosity: How often ``-v`` was given.
        has_shown: Whether something was written to stdout already.
    """

    def __init__(
        self, *, environ: Mapping[str, str], as_json: bool = False, json_lines: bool = False
    ) -> None:
        self.environ = dict(environ)
        self.as_json = as_json
        self.stderr = Talk(as_json=json_lines)
        self.config_path: Path | None = None
        self.verbosity = 0
        self.has_shown = False

    def load_config(self) -> LoadedConfig:
        """Read the configuration; no plugin is touched.

        Raises:
            ConfigError: It is wrong; the message names file and line.
        """
        return load_config(self.config_path, environ=self.environ)

    def host(self, *, worker: int | None = None, errand: bool = False, **switches: bool) -> Host:
        """Make a host, not yet started.

        Args:
            worker: Which of the processes that serve together it is, from 0; None when it is the only one.
            errand: Whether it ends with this command.
            switches: Settings of ``[host]`` that an option turns on, over the heads of file and environment.

        Raises:
            ConfigError: Its configuration is wrong.
        """
        environ = self.environ
        wanted = [name for name, given in switches.items() if given]
        if wanted:
            prefix = prefixes(self.load_config().config.host.name)[-1]  # the one that wins
            environ = environ | {f"{prefix}{name.upper()}": "1" for name in wanted}
        from plughost.host import Host

        return Host(config=self.config_path, environ=environ, worker=worker, errand=errand)

    def run(self, function: Callable[..., Awaitable[T]], *args: object) -> T:
        """Start a host, await ``function(host, *args)`` and stop it; return what the function returned."""
        import anyio

        from plughost.cli.logs import configure_logging

        configure_logging(self.environ, self.verbosity)
        return anyio.run(within_host, self.host(errand=True), lambda host: function(host, *args))

    def show(
        self, document: Mapping[str, Any], text: str | None = None, *, as_json: bool | None = None
    ) -> None:
        """Write data to stdout, as JSON or as text."""
        wanted = self.as_json if as_json is None else as_json
        click.echo(visible(dumped(document) if wanted or text is None else text))
        self.has_shown = True

    def talk(self, message: str) -> None:
        """Write a line for people to standard error."""
        self.stderr.say(message)


async def within_host(host: Host, function: Callable[[Host], Awaitable[T]]) -> T:
    """Start a host, await the function and stop the host; return what the function returned."""
    async with host:
        return await function(host)


def program_of(context: click.Context) -> Program:
    """Return the program that a context belongs to."""
    program = context.find_object(Program)
    if program is None:
        raise RuntimeError("commands of plughost run below its own group")
    return program


def _note_verbosity(context: click.Context, _: click.Parameter, value: int) -> None:
    program_of(context).verbosity += value


_CONFIG_FLAGS = ("-c", "--config")


def with_config(command: click.Command) -> click.Command:
    """Give a command, and those below it, ``--config``: a user looks for it behind each name, a plugin's too.

    A command that has a ``--config`` or ``-c`` of its own keeps it.
    """
    taken = {flag for parameter in command.params for flag in parameter.opts}

    def note_config(context: click.Context, _: click.Parameter, value: Path | None) -> None:
        if value is not None:
            program_of(context).config_path = value

    if "--config" not in taken:
        option = click.Option(
            # A parameter of a plugin's command may be called config: this name is free.
            [*(flag for flag in _CONFIG_FLAGS if flag not in taken), "_config_file"],
            type=click.Path(path_type=Path, dir_okay=False),
            callback=note_config,
            expose_value=False,
            help="Configuration file. Default: $PLUGHOST_CONFIG, else ./plughost.toml if it is there.",
        )
        command.params.insert(0, option)
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            with_config(inner)
    return command


def config_named_in(arguments: Sequence[str]) -> Path | None:
    """Return the file that ``--config`` names among arguments that no command has read yet; None without one."""
    for position, argument in enumerate(arguments):
        if argument == "--":
            break
        if argument in _CONFIG_FLAGS and arguments[position + 1 :]:
            return Path(arguments[position + 1])
        if argument.startswith("--config="):
            return Path(argument.partition("=")[2])
    return None


verbose_option = click.option(
    "-v",
    "--verbose",
    count=True,
    callback=_note_verbosity,
    expose_value=False,
    help="Log more; twice for everything.",
)
dev_option = click.option(
    "--dev",
    multiple=True,
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Load the plugins of PATH, a folder or a .py file, without installing them, and again when one is saved.",
)
