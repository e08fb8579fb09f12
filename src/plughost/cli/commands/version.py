"""``plughost version``: which plughost, host API, pluggy and Python these are."""

from __future__ import annotations

import importlib.metadata
import platform

import click

from plughost.cli.program import Program
from plughost.contracts.commands import json_option
from plughost.contracts.plugin import HOST_API


@click.command()
@json_option
@click.pass_obj
def version(program: Program) -> None:
    """Show versions of plughost, of the host API and of Python."""
    document = {
        "plughost": importlib.metadata.version("plughost"),
        "host_api": HOST_API,
        "pluggy": importlib.metadata.version("pluggy"),
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
    }
    program.show(document, "\n".join(f"{name:9} {value}" for name, value in document.items()))
