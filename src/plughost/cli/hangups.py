"""SIGHUP: read the configuration again, follow it, and say what came of it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, Callable

from plughost.cli.serving.notify import Notifier
from plughost.contracts.counting import counted
from plughost.contracts.records import ReloadReport
from plughost.exceptions import ConfigError
from plughost.host import Host


async def reload_when_asked(
    host: Host, hangups: AsyncIterable[object], talk: Callable[[str], None], notifier: Notifier
) -> None:
    """Reload the host at each SIGHUP, for as long as it runs.

    Args:
        host: A running host.
        hangups: Yields at each of them.
        talk: Is told for people what came of it.
        notifier: Tells the service manager.
    """
    async for _ in hangups:
        notifier.reloading()
        try:
            said = reload_text(await host.reload())
        except ConfigError as error:
            said = f"Nothing was changed, because the configuration is wrong. {error}"
        talk(said)
        host.tell_commands(answered=time.time(), answer=said)
        notifier.ready(status_line(host))


def reload_text(report: ReloadReport) -> str:
    """Return for people what came of reading the configuration again."""
    done = [
        f"{what}: {', '.join(names)}"
        for what, names in (
            ("reloaded", report.reloaded),
            ("started", report.started),
            ("stopped", report.stopped),
        )
        if names
    ]
    said = "; ".join(done) or "no plugin changed"
    lines = [f"The configuration was read again. {said[0].upper()}{said[1:]}."]
    lines += [f"{row.name} failed: {row.error.message}" for row in report.failed]
    if report.pending:
        lines.append(f"Hold from the next start only: {', '.join(report.pending)}.")
    return "\n".join(lines)


def status_line(host: Host) -> str:
    """Return how many plugins run, for a service manager."""
    return f"{counted(len(host.report.loaded), 'plugin')} loaded, {len(host.report.failed)} failed"
