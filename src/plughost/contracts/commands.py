"""What a command that a plugin adds to the command line is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class CommandLine(Protocol):
    """The object of the click context, as ``@click.pass_obj`` hands it to a command.

    For example::

        @click.command("cache-clear")
        @click.pass_obj
        def clear(line: CommandLine) -> None:
            line.run(clear_all)  # async def clear_all(host): ...
    """

    @property
    def as_json(self) -> bool:
        """Whether ``--json`` was given before the command; a command may have an option of its own."""

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
