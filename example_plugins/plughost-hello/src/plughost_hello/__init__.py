"""The smallest plugin: one hook, one event, one command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import click
import msgspec

from plughost import Plugin, PluginContext, hookimpl
from plughost.contracts import AuthAttempt, Principal


class HelloConfig(msgspec.Struct, frozen=True):
    """``[plugins.hello.config]``."""

    greeting: str = "Hello"


@dataclass(frozen=True, slots=True)
class Greeted:
    """Event: somebody signed in and was greeted."""

    username: str
    text: str


@click.command()
@click.argument("name", default="world")
def hello(name: str) -> None:
    """Say hello to NAME."""
    click.echo(f"Hello, {name}!")


class HelloPlugin(Plugin):
    """Publishes ``Greeted`` after each sign-in, and adds ``plughost hello``."""

    Config = HelloConfig

    async def start(self, context: PluginContext) -> None:
        """Keep the context."""
        self._context = context

    @hookimpl
    async def after_auth(self, attempt: AuthAttempt, principal: Principal) -> None:
        """Greet the principal."""
        text = f"{self._context.config.greeting}, {principal.username}!"
        await self._context.events.publish(Greeted(principal.username, text))

    @hookimpl
    def register_commands(self) -> Sequence[click.Command]:
        """Add the command."""
        return [hello]
