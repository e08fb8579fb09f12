"""Making a virtual environment with a plugin and plughost in it, by the tools that Python comes with."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import field
from pathlib import Path
from shlex import join

import click
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet

from plughost._dataclasses import dataclass
from plughost.core.finding.virtual_environment import VirtualEnvironment


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How an environment is made.

    Attributes:
        requirement: What pip installs for the plugin: ``DIST``, ``DIST==VERSION``, a wheel or a folder.
        plughost: What pip installs for plughost.
        python: The interpreter the environment is made with.
        options: Options handed on to ``pip install``.
    """

    requirement: str
    plughost: str = field(default_factory=lambda: f"plughost=={importlib.metadata.version('plughost')}")
    python: str = sys.executable
    options: Sequence[str] = ()


def fill_environment(folder: Path, recipe: Recipe, say: Callable[[str], None]) -> None:
    """Make an environment in an empty folder and install what the recipe says.

    Args:
        folder: The folder.
        recipe: What is wanted.
        say: Is told what is done.

    Raises:
        click.ClickException: A step failed; what it said is in the message.
    """
    # Making pip in each environment takes longer than all the rest; the pip that is here can install into others.
    has_pip = importlib.util.find_spec("pip") is not None
    say(f"Making a virtual environment with {recipe.python}.")
    _run("venv", [recipe.python, "-m", "venv", *(["--without-pip"] if has_pip else []), str(folder)])
    python = str(VirtualEnvironment.at(folder).python)
    pip = [sys.executable, "-m", "pip", "--python", python] if has_pip else [python, "-m", "pip"]
    wanted = [recipe.plughost, recipe.requirement]
    say(f"Installing {join(wanted)}.")
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    _run("pip", [*pip, "install", *quiet, *recipe.options, *wanted])


def _run(tool: str, command: list[str]) -> None:
    # What the operator named, and the interpreter's own tools; nothing of the plugin.
    environ = {name: value for name, value in os.environ.items() if name not in {"PYTHONHOME", "PYTHONPATH"}}
    try:
        ran = subprocess.run(  # noqa: S603
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ, check=False
        )
    except OSError as error:
        raise click.ClickException(
            f"{command[0]} cannot be run: {error.strerror}. Nothing was changed"
        ) from error
    if ran.returncode:
        raise click.ClickException(
            f"{tool} failed with exit code {ran.returncode}; nothing was changed. It said:\n{ran.stdout.rstrip()}"
        )


def named(requirement: str) -> str:
    """Return a requirement as it may be noted; empty for a path or a url."""
    try:
        parsed = Requirement(requirement)
    except InvalidRequirement:
        return ""
    return "" if parsed.url or os.path.exists(requirement) else str(parsed)  # noqa: PTH110  a text, not a path yet


def unpinned(requirement: str) -> str:
    """Return a requirement without the one version it was pinned to; a range stays."""
    parsed = Requirement(requirement)
    parsed.specifier = SpecifierSet(
        ",".join(
            str(one) for one in parsed.specifier if one.operator not in {"==", "==="} or "*" in one.version
        )
    )
    return str(parsed)
