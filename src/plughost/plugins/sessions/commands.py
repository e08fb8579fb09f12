"""``plughost sessions``: look at sessions and end them, beside running servers or without any."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from plughost.contracts import CommandLine, SessionMaintenance, SessionManager, json_option, utc_time
from plughost.exceptions import ServiceError


@click.group("sessions")
def sessions_group() -> None:
    """Inspect and end sessions."""


@sessions_group.command("stats")
@json_option
@click.pass_obj
def stats(line: CommandLine) -> None:
    """Show how many sessions and users there are."""

    async def work(host: Any) -> dict[str, Any]:
        return asdict(await _sessions_of(host).stats())

    found = line.run(work)
    hidden = () if found["counted"] else ("active", "expired", "users")
    rows = [f"{name:>10}  {value}" for name, value in found.items() if name not in hidden]
    line.show(found, "\n".join(rows))


@sessions_group.command("list")
@click.argument("user_id")
@click.option(
    "--limit", type=click.IntRange(1), default=100, show_default=True, help="How many at most, newest first."
)
@json_option
@click.pass_obj
def list_(line: CommandLine, user_id: str, limit: int) -> None:
    """Show the sessions of one user: handles, devices and times, never ids."""

    async def work(host: Any) -> list[dict[str, Any]]:
        return [
            {
                "handle": session.handle,
                "username": session.username,
                "roles": list(session.roles),
                "metadata": dict(session.metadata),
                "created_at": utc_time(session.created_at),
                "last_seen_at": utc_time(session.last_seen_at),
                "expires_at": utc_time(session.expires_at),
            }
            for session in await _sessions_of(host).list_user(user_id, limit + 1)
        ]

    listed = line.run(work)
    found, more = listed[:limit], len(listed) > limit
    rows = [
        f"{one['handle']}  since {one['created_at']}  until {one['expires_at']}"
        f"  {one['metadata'].get('device') or one['metadata'].get('user_agent', '')}"
        for one in found
    ]
    line.show({"user_id": user_id, "sessions": found}, "\n".join(rows) or "no sessions")
    if more:
        line.talk(f"These are the newest {limit}: give --limit for more.")


@sessions_group.command("end")
@click.argument("user_id")
@click.option("--handle", help="End only the session with this handle.")
@click.pass_obj
def end(line: CommandLine, user_id: str, handle: str | None) -> None:
    """End all sessions of a user, or one of them."""

    async def work(host: Any) -> int:
        sessions = _sessions_of(host)
        if handle is None:
            return await sessions.destroy_user(user_id)
        return int(await sessions.end_handle(user_id, handle))

    ended = line.run(work)
    line.show({"ended": ended}, f"{ended} ended")


@sessions_group.command("cleanup")
@click.pass_obj
def cleanup(line: CommandLine) -> None:
    """Remove expired sessions now."""

    async def work(host: Any) -> dict[str, Any]:
        return asdict(await _sessions_of(host).cleanup_expired())

    report = line.run(work)
    line.show(report, f"{report['removed']} removed in {report['duration']:.3f} s")


@sessions_group.command("rotate-keys")
@click.pass_obj
def rotate_keys(line: CommandLine) -> None:
    """Encrypt every session with the newest secret, so that older secrets can be removed from the settings."""

    async def work(host: Any) -> int:
        sessions = _sessions_of(host)
        if not isinstance(sessions, SessionMaintenance):
            raise click.ClickException("the sessions of this host are not kept encrypted by plughost")
        return await sessions.reseal()

    resealed = line.run(work)
    line.show({"resealed": resealed}, f"{resealed} sealed with the newest secret")


def _sessions_of(host: Any) -> SessionManager:
    """Return the sessions of a host.

    Raises:
        ClickException: The plugin does not run here, or its store is not there; the reason is shown.
    """
    record = host.plugin("sessions")
    if record is not None and record.waiting_for:
        raise click.ClickException(record.waiting_for)
    try:
        sessions: SessionManager = host.use(SessionManager)
        return sessions
    except ServiceError as error:
        failure = record.error if record is not None else None
        raise click.ClickException(failure.message if failure is not None else str(error)) from error
