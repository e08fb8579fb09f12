"""What a command that a plugin adds to the command line is given, and the option that all of them share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class CommandLine(Protocol):
    """The object of the click context, as ``@click.pass_obj`` hands it to a command.

    Each command is given ``-c, --config FILE`` as well, unless it has an option of that name of its own.

    For example::

        @click.command("cache-clear")
        @click.pass_obj
        def clear(line: CommandLine) -> None:
            line.run(clear_all)  # async def clear_all(host): ...
    """

    as_json: bool
    """Whether data are written as JSON: ``--json`` was given, before the command or, with ``json_option``, after it."""

    def host(self) -> Any:
        """Make a ``Host`` of this command line's configuration, not started.

        For commands that need to know where things are, and no plugin.

        Raises:
            ConfigError: The configuration is wrong.
        """

    def run(self, function: Callable[..., Awaitable[T]], *args: object) -> T:
        """Start a host with the configuration of this command line, and stop it afterwards.

        Args:
            function: Called with the running ``Host`` and ``args``, and awaited in its event loop.
            args: Further arguments.

        Returns:
            What ``function`` returned.

        Raises:
            ConfigError: The configuration is wrong.
            HostNotReadyError: The host is strict, and a plugin failed.
        """

    def show(
        self, document: Mapping[str, Any], text: str | None = None, *, as_json: bool | None = None
    ) -> None:
        """Write data to standard output.

        Args:
            document: One JSON object; dataclasses, paths and the like in it are made plain.
            text: The same for people; None writes the JSON in any case.
            as_json: Which of the two; None takes what ``--json`` said.
        """

    def talk(self, message: str) -> None:
        """Write a line for people to standard error, where it does not disturb the data."""


def json_option(command: F) -> F:
    """Give a click command the option ``--json``: what it shows with ``CommandLine.show`` is then one document.

    For example::

        @click.command("cache-size")
        @json_option
        @click.pass_obj
        def size(line: CommandLine) -> None:
            line.show({"entries": 3}, "3 entries")
    """
    import click  # only those who make commands need it

    def note(context: click.Context, _: click.Parameter, value: bool) -> None:
        line: CommandLine = context.find_root().obj
        line.as_json |= value

    option = click.option(
        "--json", is_flag=True, callback=note, expose_value=False, help="Write one JSON document to stdout."
    )
    return option(command)
