"""``plughost admin``: a link that signs in to a running host; bearer tokens, whether or not one runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import click

from plughost.contracts import CommandLine, counted, json_option, utc_time
from plughost.http import AccessFile, SignIns, TokenRecord, Tokens

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@click.group()
def admin() -> None:
    """Look after access to the administration."""


@admin.command()
@click.option("--url", default="", help="Where browsers reach the host, when it cannot know that itself.")
@json_option
@click.pass_obj
def link(line: CommandLine, url: str) -> None:
    """Show a link that signs one browser in to the running host, once."""
    host = line.host()
    settings, running = host.config.http, host.running_elsewhere
    if running is None:
        raise click.ClickException(
            f"no host runs on {host.data_dir}: start it with `plughost serve`, or the application that it is a part of;"
            " what stands behind a socket of systemd starts with the first request"
        )
    admin_page = url.rstrip("/") + settings.admin_path if url else running.admin
    if not admin_page:
        raise click.ClickException(
            f"the running host (process {running.process}) did not say where browsers reach it: give --url"
        )
    access = AccessFile(host.data_dir)
    try:
        code = SignIns(
            access,
            host_name=host.name,
            link_lifetime=settings.link_lifetime,
            browser_lifetime=settings.browser_lifetime,
        ).make_link_code()
    finally:
        access.close()
    address = f"{admin_page}/sign-in?code={code}"
    line.show({"sign_in": address, "expires_in": settings.link_lifetime}, address)
    line.talk(
        f"It signs in one browser, once, within {counted(round(settings.link_lifetime / 60), 'minute')}."
    )


@admin.group()
def token() -> None:
    """Make, list and revoke bearer tokens."""


@token.command()
@click.option("--name", required=True, help="Who or what it is for.")
@click.option(
    "--scope", "scopes", required=True, multiple=True, help="What it may do: cache:read, cache:*, *."
)
@click.option("--expires", default="90d", show_default=True, help="How long it lives: 30m, 12h, 90d.")
@json_option
@click.pass_obj
def create(line: CommandLine, name: str, scopes: tuple[str, ...], expires: str) -> None:
    """Make a token and show it, for the only time."""
    try:
        with _tokens(line) as tokens:
            shape = re.fullmatch(r"(\d{1,6})([smhdw])", expires)
            if shape is None:
                raise ValueError(f"{expires!r} is not a length of time: write 30m, 12h, 90d")
            seconds = float(shape[1]) * _UNITS[shape[2]]
            secret, record = tokens.create(name, scopes, seconds)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    line.show({"token": secret, **_document(record)}, secret)
    line.talk(
        f"Shown only once. Expires {utc_time(record.expires_at)}. Send it as `Authorization: Bearer ...`."
    )


@token.command("list")
@json_option
@click.pass_obj
def list_tokens(line: CommandLine) -> None:
    """List tokens, ended ones too; never the secrets."""
    with _tokens(line) as tokens:
        records = tokens.list()

    def told(record: TokenRecord) -> str:
        word, moment = ("revoked", record.revoked_at) if record.revoked_at else ("ends", record.expires_at)
        used = f"used {utc_time(record.last_used_at)}" if record.last_used_at else "never used"
        return f"{record.id}  {record.name}  {' '.join(record.scopes)}  {word} {utc_time(moment)}, {used}"

    text = "\n".join(map(told, records)) or "There is no token yet: plughost admin token create"
    line.show({"tokens": [_document(record) for record in records]}, text)


@token.command()
@click.argument("token_id", metavar="ID")
@json_option
@click.pass_obj
def revoke(line: CommandLine, token_id: str) -> None:
    """End the token with this ID at once, in running hosts too."""
    with _tokens(line) as tokens:
        revoked = tokens.revoke(token_id)
    if not revoked:
        raise click.ClickException(f"no token {token_id} is alive; `plughost admin token list` shows all")
    line.show({"id": token_id, "revoked": True}, f"Token {token_id} revoked.")


@contextmanager
def _tokens(line: CommandLine) -> Iterator[Tokens]:
    access = AccessFile(line.host().data_dir)
    try:
        yield Tokens(access)
    finally:
        access.close()


def _document(record: TokenRecord) -> dict[str, object]:
    return {
        "id": record.id,
        "name": record.name,
        "scopes": list(record.scopes),
        "created_at": record.created_at,
        "expires_at": record.expires_at,
        "last_used_at": record.last_used_at,
        "revoked_at": record.revoked_at,
    }
