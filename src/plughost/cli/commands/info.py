"""``plughost info``: all that is known of one plugin, which is imported for it and not started."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict

import click
import msgspec

from plughost.checks.candidates import (
    candidates_of,
    command_there,
    find_candidate,
    lives_elsewhere,
    project_of,
)
from plughost.checks.catalogue import CHECKS
from plughost.checks.findings import CheckResult
from plughost.checks.subject import Subject, examine
from plughost.cli.documents import Document, candidate_document
from plughost.cli.findings import result_document, result_text
from plughost.cli.program import Program
from plughost.cli.tables import local_time
from plughost.contracts.commands import json_option
from plughost.contracts.counting import counted
from plughost.contracts.masking import masked
from plughost.core.config import LoadedConfig
from plughost.core.finding.discovery import PluginCandidate
from plughost.core.loading.registry import failure_of
from plughost.core.loading.remembered import HostMemory
from plughost.core.running import running_hosts
from plughost.exceptions import ConfigError, PluginNotFoundError


@click.command()
@json_option
@click.option("--no-import", is_flag=True, help="Read metadata only.")
@click.argument("name")
@click.pass_obj
def info(program: Program, name: str, no_import: bool) -> None:
    """Inspect plugin NAME, or the one in a folder, without starting it.

    The plugin is imported under its limit; a failure, with its traceback, is part of what is shown, and so is the last
    one of a host that ran. Of a plugin in a process of its own is told what that uses in hosts that run now.
    """
    loaded = program.load_config()
    try:
        candidate = find_candidate(name, loaded)
    except PluginNotFoundError:
        # One that was loaded from a folder or by code may have failed, and its message leads here.
        document: Document = {"name": name, "state": "not found", "last_failure": _last_failure(name, loaded)}
        if document["last_failure"] is not None:
            program.show(masked(document), _text(document, []))
            return
        if not (in_folder := candidates_of(name, loaded)):
            raise
        candidate = in_folder[0]
    document = _of_metadata(candidate, loaded)
    results: list[CheckResult] = []
    if lives_elsewhere(candidate):
        there = command_there(candidate, "info")
        program.talk(f"It has an environment of its own, and was not imported: {there} tells more.")
    elif candidate.wanted and candidate.wish.isolation == "process":
        program.talk(
            f"It runs in a process of its own, and was not imported: `PLUGHOST_IN_PROCESS={candidate.name} "
            f"plughost info {candidate.name}` tells more."
        )
    elif candidate.wanted and not no_import:
        subject = examine(candidate, loaded, project_of(candidate))
        document |= _of_code(subject)
        results = [check.run(subject) for check in CHECKS]
        document["checks"] = [result_document(result) for result in results]
    shown = masked(document)  # by now the import has told which settings are declared secret
    program.show(shown, _text(shown, results))


def _of_metadata(candidate: PluginCandidate, loaded: LoadedConfig) -> Document:
    section = loaded.section_of(candidate.name)
    prefix = f"plugins.{section}."
    config = [
        {"path": entry.path, "value": entry.value, "origin": entry.origin}
        for entry in loaded.entries()
        if section is not None and entry.path.startswith(prefix)
    ]
    return candidate_document(candidate) | {
        "config": config,
        "last_failure": _last_failure(candidate.name, loaded),
        "processes": _processes(candidate, loaded),
    }


def _last_failure(name: str, loaded: LoadedConfig) -> Document | None:
    failure = HostMemory.of(loaded).last_failure(name)
    return None if failure is None else msgspec.to_builtins(failure)


def _processes(candidate: PluginCandidate, loaded: LoadedConfig) -> list[Document]:
    """What the kernel tells of the plugin's own processes, in hosts that run now; those of other users do not tell."""
    if candidate.wish.isolation != "process":
        return []
    from plughost.core.processes.outside_look import figures_of

    found: list[Document] = []
    for host in running_hosts(loaded.data_dir):
        with suppress(PermissionError):
            for pid, figures in figures_of(host.pid, candidate.name).items():
                told = {key: value for key, value in asdict(figures).items() if key != "at"}
                found.append({"host": host.pid, "pid": pid, **told})
    return found


def _of_code(subject: Subject) -> Document:
    if not subject.is_imported or subject.imported is None:
        return {"error": failure_of(subject.error), "imported_in": None}
    needs = subject.imported.needs
    try:
        decoded = subject.loaded.decode_plugin(
            subject.name, subject.handle.config_class, subject.candidate.wish.config
        )
    except ConfigError:
        effective = None  # what is configured does not fit
    else:
        effective = subject.loaded.redact(decoded, subject.name)
    return {
        "version": subject.candidate.finding.version or subject.handle.version,
        "requires": needs.requires,
        "after": needs.after,
        "host_api": subject.candidate.card.host_api or subject.handle.host_api,
        "hooks": sorted(
            {hook for hook, _, _ in subject.hooks.manager().implementations(subject.handle.target)}
        ),
        "effective_config": effective,
        "imported_in": round(subject.imported.took, 4),
    }


_LINES = (
    "version",
    "state",
    "reason",
    "description",
    "distribution",
    "origin",
    "requires",
    "after",
    "host_api",
    "hooks",
)


def _text(document: Document, results: list[CheckResult]) -> str:
    lines = [click.style(document["name"], bold=True)]
    for key in _LINES:
        if value := document.get(key):
            words = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
            lines.append(f"  {key:13} {words}")
    for process in document.get("processes", ()):
        files = "" if process["files"] is None else f", {counted(process['files'], 'open file')}"
        lines.append(
            f"  {'process':13} {process['pid']} of host {process['host']}: {process['memory'] / 1e6:.1f} MB, "
            f"{process['cpu_seconds']:.2f} s of processor time, {counted(process['threads'], 'thread')}{files}"
        )
    lines += [
        f"  {entry['path']} = {entry['value']!r}  ({entry['origin']})" for entry in document.get("config", ())
    ]
    error = document.get("error")
    traceback = getattr(error, "traceback", "")
    if traceback:
        lines += ["", traceback.rstrip()]
    if was := document["last_failure"]:
        when = local_time(was["at"])
        lines += ["", f"  last failure ({was['phase']}, {when}): {was['message']}", was["traceback"].rstrip()]
    faults = [result_text(result) for result in results if result.problems]
    return "\n".join([*lines, "", *faults] if faults else lines)
