"""Data of the host as plain JSON: the shapes that ``--json`` promises."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plughost.contracts.error_text import error_text
from plughost.contracts.files import lacks_room
from plughost.contracts.json_values import for_json
from plughost.exceptions import AppError, ConfigError, HookError, PluginError

if TYPE_CHECKING:
    from plughost.core.finding.discovery import PluginCandidate
    from plughost.host import Host

Document = dict[str, Any]
_DEEPEST = 100


def dumped(document: Mapping[str, Any]) -> str:
    """Return one JSON document with sorted keys."""
    return json.dumps(plain(document), sort_keys=True, indent=2, ensure_ascii=False)


def plain(value: Any) -> Any:
    """Return what JSON can hold of a value, as deep as a schema is."""
    return for_json(value, _DEEPEST)


def sentence_of(error: Exception) -> str:
    """Return what went wrong; of a place that was refused, which, and what to do.

    A draft that cannot be made is told by the folder it was to be in.
    """
    if isinstance(error, click.ClickException):
        return error.format_message()
    if not isinstance(error, OSError) or not isinstance(error.filename, str | bytes):
        return error_text(error)
    path = Path(os.fsdecode(error.filename))
    if isinstance(error, PermissionError) and not os.path.lexists(path):
        return f"nothing can be made in folder {path.parent}: {error.strerror}. Let this user write there"
    if isinstance(error, FileNotFoundError) and not path.parent.exists():
        return f"{path} cannot be made: there is no folder {path.parent}. Make it, or name another"
    if isinstance(error, FileExistsError) and not path.is_dir():
        kind = "a link that leads nowhere" if path.is_symlink() and not path.exists() else "a file"
        return f"{path} cannot be used: {kind} is where a folder belongs. Move it away, or name another"
    if lacks_room(error):
        return f"{path} cannot be written: {error.strerror}. It is as it was; make room for it"
    return f"{path} cannot be used: {error.strerror}"


def error_document(error: Exception) -> Document:
    """An error: a code to compare with, a message for people, details for programs."""
    details: Document = {}
    for kind, names in _TOLD.items():
        if isinstance(error, kind):
            details.update({name: plain(getattr(error, name)) for name in names})
    if isinstance(limit := getattr(error, "limit", None), int | float):
        details["limit"] = limit
    kind_of_error = "UsageError" if isinstance(error, click.UsageError) else type(error).__name__
    code = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind_of_error).lower()
    return {"code": code, "message": sentence_of(error), "details": details}


_TOLD: Mapping[type[Exception], tuple[str, ...]] = {
    ConfigError: ("path", "origin", "problems"),
    PluginError: ("plugin", "phase"),
    HookError: ("hook",),
    AppError: ("app_name", "step"),
}


def candidate_document(candidate: PluginCandidate) -> Document:
    """A plugin as its metadata describe it."""
    finding, card, error = candidate.finding, candidate.card, None
    if candidate.error is not None:
        from plughost.core.loading.registry import failure_of  # late: hardly any has one

        error = plain(failure_of(candidate.error))
    return {
        "name": candidate.name,
        "version": finding.version,
        "distribution": finding.distribution,
        "source": finding.source,
        "origin": finding.origin,
        "reference": finding.reference,
        "state": candidate.verdict,
        "reason": candidate.reason,
        "error": error,
        "required": candidate.wish.required,
        "description": card.description,
        "requires": card.requires,
        "after": card.after,
        "host_api": card.host_api,
        "hooks": card.hooks,
        "commands": card.commands,
    }


def report_document(host: Host) -> Document:
    """The state of every plugin of a host that was started, and the apps that it could not register."""
    report = host.report
    return {
        "host": host.name,
        "ready": host.ready,
        "duration": round(report.duration, 4),
        "loaded": report.loaded,
        "failed": report.failed,
        "skipped": report.skipped,
        "waiting": [record.name for record in host.plugins.values() if record.waiting_for],
        "plugins": list(host.plugins.values()),
        "app_errors": {name: error_text(error) for name, error in host.app_errors.items()},
    }
