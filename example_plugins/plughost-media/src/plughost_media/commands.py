"""``plughost media``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import anyio.to_thread
import click
import msgspec

from plughost.contracts import CommandLine, counted, is_secret_key, json_option
from plughost_media.people import FullError, Listed, People, SettingName, SettingValue, who

_LISTS: Final = ("watchlist", "favorites", "mylist")
"""Names of what pages kept lists under, in small letters without signs between the words."""

_MOST_BYTES: Final = 8 << 20


@dataclass(slots=True)
class Found:
    """What a file of old settings has in it.

    Attributes:
        titles: What goes on the list.
        settings: What goes to the settings.
        left: Names of what does neither, and why.
    """

    titles: list[Listed] = field(default_factory=list)
    settings: dict[str, SettingValue] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)


@click.group("media")
def media_group() -> None:
    """What people keep: lists and settings."""


@media_group.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--user", required=True, help="Whose it becomes, such as plex:1001 (see /api/auth/session).")
@json_option
@click.pass_obj
def import_settings(line: CommandLine, file: Path, user: str) -> None:
    """Take over what a page kept in its browser.

    FILE is its localStorage as JSON: in the browser's console of the old page, `copy(JSON.stringify(localStorage))`.
    Lists go on the list, the rest to the settings. What is there already stays, and what is secret stays out:
    tokens and keys are entered anew, on the page.
    """
    if file.stat().st_size > _MOST_BYTES:
        raise click.ClickException(f"{file} is bigger than {_MOST_BYTES >> 20} MiB, which no localStorage is")
    try:
        given = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file} is not a JSON object: {error}") from None
    found = read(given)

    async def work(host: Any) -> int:
        people: People = host.use(People)
        person = who(user)
        added = await anyio.to_thread.run_sync(people.add, person, found.titles, time.time())
        known = await anyio.to_thread.run_sync(people.settings, person)
        await anyio.to_thread.run_sync(people.change, person, {**found.settings, **known})
        return added

    try:
        added = line.run(work)
    except FullError as error:
        raise click.ClickException(f"not all of it was taken: {error}") from None
    document = {"titles": added, "settings": len(found.settings), "left": found.left}
    rows = [
        f"taken over: {counted(added, 'title')} of the list of {user}, {counted(len(found.settings), 'setting')}"
    ]
    rows += [f"{name}: left out: {why}" for name, why in found.left.items()]
    line.show(document, "\n".join(rows))


def read(given: Mapping[str, Any]) -> Found:
    """Sort what a page kept: every value is text, often JSON in it."""
    found = Found()
    for name, text in given.items():
        value = _value(text)
        if is_secret_key(name):
            found.left[name] = "it is secret"
        elif "".join(filter(str.isalnum, name)).casefold().endswith(_LISTS) and isinstance(value, list):
            titles = list(_titles(value))
            found.titles += titles
            if len(titles) < len(value):
                found.left[name] = (
                    f"no titles of TMDB: {counted(len(value) - len(titles), 'entry', 'entries')}"
                )
        else:
            try:
                found.settings.update(msgspec.convert({name: value}, dict[SettingName, SettingValue]))
            except msgspec.ValidationError:
                found.left[name] = "it is no setting: a short text, a number, or yes and no"
    return found


def _value(text: Any) -> Any:
    try:
        return msgspec.json.decode(text) if isinstance(text, str) else text
    except msgspec.DecodeError:
        return text


def _titles(entries: list[Any]) -> Iterator[Listed]:
    for entry in entries:
        if not isinstance(entry, dict):
            continue
        told = {
            "kind": entry.get("media_type") or entry.get("type") or ("tv" if entry.get("name") else "movie"),
            "id": entry.get("id"),
            "title": entry.get("title") or entry.get("name"),
            "poster_path": entry.get("poster_path") or "",
        }
        try:
            yield msgspec.convert(told, Listed)
        except msgspec.ValidationError:
            continue
