"""Source texts of plugins to look at from the command line."""

GOOD = """
from typing import Any
import msgspec
from plughost import Plugin, hookimpl
from plughost.contracts import Secret

class Settings(msgspec.Struct, frozen=True):
    greeting: str = "hello"
    api_key: Secret = Secret("")

class P(Plugin):
    "A good plugin."
    host_api = ">=1,<2"
    Config = Settings

    async def start(self, context: Any) -> None:
        self.context = context

    @hookimpl
    async def after_auth(self, attempt: Any, principal: Any) -> None:
        pass
"""

FAILING = """
from plughost import Plugin

class P(Plugin):
    async def start(self, context):
        raise RuntimeError("no disk")
"""

HANGING = """
import anyio
from plughost import Plugin

class P(Plugin):
    async def start(self, context):
        await anyio.sleep_forever()
"""

EXITING = """
import sys
sys.exit(3)
"""

ENDING = """
import os
os._exit(77)
"""
"""Ends the whole process when imported: whoever survives did not import it."""

COMMANDS = """
import click
from plughost import Plugin, hookimpl

@click.group("greet")
def greet():
    "Greet people."

@greet.command()
@click.argument("name")
def hello(name):
    click.echo(f"Hello, {name}!")

async def count(host):
    return len(host.report.loaded)

@greet.command()
@click.pass_obj
def loaded(line):
    number = line.run(count)
    line.show({"loaded": number}, f"{number} loaded")

class P(Plugin):
    async def start(self, context):
        pass

    @hookimpl
    def register_commands(self):
        return [greet]
"""
