"""The state of every plugin, for people."""

from __future__ import annotations

from plughost.cli.documents import report_document
from plughost.cli.program import Program
from plughost.cli.tables import seconds, state, table
from plughost.contracts.counting import counted
from plughost.contracts.error_text import error_text
from plughost.host import Host


def report_text(host: Host) -> str:
    """Return a table of all plugins, a line for each app that was not registered, and one that counts."""
    rows: list[tuple[str, ...]] = []
    for record in host.plugins.values():
        took = [part for part in (record.timings.imported, record.timings.started) if part is not None]
        rows.append(
            (
                record.name,
                record.version or "-",
                state(record.state),
                seconds(sum(took) if took else None),
                record.reason
                or (f"waits: {record.waiting_for}" if record.waiting_for else "")
                or (counted(len(record.hooks), "hook") if record.hooks else ""),
            )
        )
    apps = (f"App {name!r} is not registered: {error_text(error)}" for name, error in host.app_errors.items())
    return "\n".join((table(("PLUGIN", "VERSION", "STATE", "TOOK", ""), rows), *apps, _summary(host)))


def tell_report(program: Program, host: Host) -> None:
    """Say on standard error what happened to each plugin."""
    document = report_document(host)
    program.stderr.say(_summary(host), text=report_text(host), **document)


def _summary(host: Host) -> str:
    report = host.report
    ready = "ready" if host.ready else "not ready"
    missing = [record.name for record in host.plugins.values() if record.required and not record.running]
    missing += [f"app {name}" for name in host.missing_apps]
    why = f"; required and missing: {', '.join(missing)}" if missing else ""
    waiting = [record.name for record in host.plugins.values() if record.waiting_for]
    why += f"; cannot do its work yet: {', '.join(waiting)}" if waiting else ""
    return (
        f"Host {host.name!r} is {ready}: {len(report.loaded)} loaded, {len(report.failed)} failed, "
        f"{len(report.skipped)} skipped in {seconds(report.duration)}{why}"
    )
