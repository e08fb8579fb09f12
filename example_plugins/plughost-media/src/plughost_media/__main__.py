"""``python -m plughost_media --demo``: the whole suite in front of fakes, at one address."""

from __future__ import annotations

import asyncio
from typing import cast

import click

from plughost_media.demo import run
from plughost_media.fakes import TROUBLES, Kind


@click.command()
@click.option("--demo", is_flag=True, required=True, help="Run the demo: nothing leaves this machine.")
@click.option(
    "--port", default=8096, show_default=True, help="Where to listen on 127.0.0.1; 0 takes a free port."
)
@click.option(
    "--trouble", type=click.Choice(TROUBLES), help="What goes wrong with TMDB and the server at home."
)
def main(*, demo: bool, port: int, trouble: str | None) -> None:
    """Run the media suite."""
    if demo:
        asyncio.run(run(port, cast("Kind | None", trouble), click.echo))


if __name__ == "__main__":
    main()
