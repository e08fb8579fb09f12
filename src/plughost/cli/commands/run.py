"""``plughost run``: a host without HTTP."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable
from contextlib import ExitStack
from pathlib import Path

import anyio
import click

from plughost.cli.dev.folders import dev_folders
from plughost.cli.dev.reloading import expect_changes, reload_on_save
from plughost.cli.documents import error_document, report_document
from plughost.cli.exits import ExitCode, leave, leave_with_problems
from plughost.cli.hangups import reload_when_asked
from plughost.cli.logs import configure_logging
from plughost.cli.program import Program, dev_option, verbose_option
from plughost.cli.report import report_text
from plughost.cli.serving.notify import Notifier
from plughost.cli.signals import StopSignals, hangups, hangups_held
from plughost.contracts.commands import json_option
from plughost.exceptions import HostNotReadyError
from plughost.host import Host


@click.command()
@json_option
@verbose_option
@click.option("--once", is_flag=True, help="Start, report, stop. Exits 3 when one failed, or waits.")
@click.option("--safe-mode", is_flag=True, help="Load the plugins that come with plughost and no others.")
@click.option("--strict", is_flag=True, help="Fail when a plugin fails.")
@dev_option
@click.pass_obj
def run(program: Program, once: bool, safe_mode: bool, strict: bool, dev: tuple[Path, ...]) -> None:
    """Start the host without HTTP, report the state of every plugin, and keep running.

    SIGINT and SIGTERM stop the plugins in order; a second one ends the process at once. SIGHUP reads the
    configuration again and follows it. A host that lacks a
    required plugin is stopped again and exits 1.
    """
    if not once:
        click.get_current_context().with_resource(hangups_held())
    host = program.host(errand=once, safe_mode=safe_mode, strict=strict)
    folders = dev_folders(dev)
    for folder in folders:
        host.add_plugin_folder(folder)
    # A host that stays tells what happens to it; one that only reports has its report.
    configure_logging(program.environ, program.verbosity + (not once))
    try:
        ready = anyio.run(_run, program, host, once, folders)
    except HostNotReadyError as error:
        document = error_document(error)
        document["details"]["report"] = report_document(host)
        program.show(document, report_text(host))
        program.talk(f"Error: {error}")
        leave(ExitCode.FAILED)
    if ready is None:
        program.talk("Asked to stop while starting: stopped.")
        leave(ExitCode.FAILED)
    if once:
        leave_with_problems(host.report.failed or host.app_errors or not ready)
    elif not ready and not folders:
        leave(ExitCode.FAILED)


async def _run(program: Program, host: Host, once: bool, folders: list[Path]) -> bool | None:
    """Run the host until it is asked to stop; return whether it was ready, or None when it never started."""
    ready = None
    with ExitStack() as stack:
        requests = None if once else stack.enter_context(hangups())
        if requests is not None:
            host.tell_commands(reload=os.getpid())
        async with StopSignals() as signals:
            with signals.interrupting() as starting:
                async with host:
                    starting.disarm()
                    ready = host.ready
                    show_report(program, host)
                    if once and any(record.waiting_for for record in host.plugins.values()):
                        ready = False  # nobody will see whether what it waits for comes
                    if requests is not None and (ready or folders):
                        await _stay(signals, requests, program, host, folders)
    return ready


async def _stay(
    signals: StopSignals, requests: AsyncIterable[object], program: Program, host: Host, folders: list[Path]
) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reload_when_asked, host, requests, program.talk, Notifier(program.environ))
        if folders:
            expect_changes()
            program.talk(f"Watching {', '.join(map(str, folders))}; Ctrl-C stops.")
            tasks.start_soon(reload_on_save, host, folders, program.talk)
        await signals.wait()
        tasks.cancel_scope.cancel()


def show_report(program: Program, host: Host) -> None:
    """Write the state of every plugin of a running host."""
    document = report_document(host)
    program.show(document, report_text(host))
