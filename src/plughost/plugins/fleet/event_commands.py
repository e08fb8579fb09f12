"""``plughost fleet events``: what was told to all hosts."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import anyio
import click
import msgspec

from plughost.contracts import CommandLine, FleetStore, json_option, utc_time
from plughost.exceptions import FleetError
from plughost.plugins.fleet.reaching import with_store
from plughost.plugins.fleet.relay import SentEvent
from plughost.plugins.fleet.revisions import Revisions
from plughost.plugins.fleet.seal import Seal

_LOOK = 0.2
_PAGE = 100


@click.command("events")
@click.option(
    "--last",
    "number",
    default=20,
    show_default=True,
    type=click.IntRange(0),
    help="How many to show at first.",
)
@click.option("--follow", is_flag=True, help="Go on with those that come, until it is stopped.")
@json_option
@click.pass_obj
def events(line: CommandLine, number: int, follow: bool) -> None:
    """Show the last events that were told to all hosts; with --follow and --json each is a line with an object."""
    shown: list[dict[str, Any]] = []

    async def look(store: FleetStore, revisions: Revisions) -> None:
        async with aclosing(_told(store, revisions.seal, number, follow)) as found:
            async for one in found:
                if line.as_json and not follow:
                    shown.append(one)
                elif line.as_json:
                    click.echo(json.dumps(one))
                elif "error" in one:
                    click.echo(f"{one['number']:>7}  {one['error']}")
                else:
                    who = f"{one['number']:>7}  {one['told']}  {one['member']}"
                    click.echo(f"{who}  {one['name']}  {json.dumps(one['data'])}")

    with_store(line, look)
    if line.as_json and not follow:
        line.show({"events": shown})


async def _told(store: FleetStore, seal: Seal, number: int, follow: bool) -> AsyncGenerator[dict[str, Any]]:
    heard = max(0, (await store.events_after(0, 1)).last - number)
    while True:
        page = await store.events_after(heard, _PAGE)
        for place, document in enumerate(page.events, page.first):
            try:
                sent = seal.open(document, SentEvent)
            except FleetError as error:
                yield {"number": place, "error": str(error)}
                continue
            data = msgspec.to_builtins(msgspec.msgpack.decode(sent.payload))
            told = {"number": place, "name": sent.name, "version": sent.version, "member": sent.member}
            yield {**told, "told": utc_time(sent.at), "data": data}
        heard = page.first - 1 + len(page.events)
        if heard >= page.last:
            if not follow:
                return
            await anyio.sleep(_LOOK)
