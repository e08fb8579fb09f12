"""All there is to tell about one plugin: what its page shows, and the endpoints about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, to_builtins
from msgspec.structs import asdict

from plughost import Host
from plughost.contracts import PluginRecord, SettingsChange, for_json
from plughost.exceptions import ConfigError, PluginConfigError, PluginError
from plughost.http import HttpRuntime, Problem
from plughost.plugins.admin.advice import about_plugins
from plughost.plugins.admin.documents import Document
from plughost.plugins.admin.figures import FigureSources, hook_figures
from plughost.plugins.admin.logs import level_of
from plughost.plugins.admin.offers import offers
from plughost.plugins.admin.settings_form import fields_of

_LINES_SHOWN = 50


class NewSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """New settings of a plugin: what shall be different, null where the default shall hold."""

    config: dict[str, Any]
    reload: bool = False


def record_named(host: Host, name: str) -> PluginRecord:
    """Return the record of a plugin.

    Raises:
        Problem: 404, there is none.
    """
    record = host.plugin(name)
    if record is None:
        raise Problem(404, f"There is no plugin {name!r}.", code="not_found")
    return record


async def one_plugin(runtime: HttpRuntime, desk: FigureSources, name: str) -> Document:
    """Return what the page of a plugin shows.

    Raises:
        Problem: 404, there is none.
    """
    host = runtime.host
    record = record_named(host, name)
    hooks = [
        {
            "hook": hook["hook"],
            "place": place,
            "of": len(hook["plugins"]),
            **{key: value for key, value in row.items() if key not in ("plugin", "hook")},
        }
        for hook in await hook_figures(runtime)
        for place, row in enumerate(hook["plugins"], 1)
        if row["plugin"] == record.name
    ]
    return {
        "plugin": {**for_json(record), "offers": list(offers(record))},
        "requires": [_standing(host, other) for other in record.requires],
        "after": [_standing(host, other) for other in record.after],
        "required_by": [
            _standing(host, each.name) for each in host.plugins.values() if record.name in each.requires
        ],
        "settings": settings_document(host, record.name),
        "fields": [asdict(field) for field in fields_of(host.plugin_settings(record.name))],
        "enforces": host.loaded_config.plugin(record.name).enforce,
        "observed": [to_builtins(row) for row in await host.observed() if row.plugin == record.name],
        "hooks": hooks,
        "jobs": [for_json(job) for job in host.jobs.snapshot() if job.owner == record.name],
        "routes": [for_json(row) for row in runtime.figures.routes() if row.plugin == record.name],
        "log": {"level": level_of(record.name), "lines": log_lines(desk, record.name, _LINES_SHOWN)},
        "failures": desk.failures.of(record),
        "advice": [asdict(each) for each in about_plugins([record])],
    }


def settings_document(host: Host, name: str) -> Document:
    """Return the settings of a plugin with their origins and their schema, secrets hidden.

    Raises:
        Problem: 404, there is none.
    """
    settings = host.plugin_settings(record_named(host, name).name)
    return {
        "plugin": settings.plugin,
        "file": str(settings.file) if settings.file is not None else None,
        "values": for_json(settings.values),
        "settings": [for_json(entry) for entry in settings.entries],
        "schema": settings.schema,
    }


def log_lines(desk: FigureSources, name: str, limit: int) -> list[Document]:
    """Return the last log lines of a plugin, the newest first."""
    return [asdict(line) for line in desk.logs.lines(name, limit)]


async def shown_grade(host: Host, name: str) -> Document:
    """Have a plugin checked as for its author: this reads and parses its source, so only who asks waits for it."""
    from plughost.checks import grades_of  # late: only who asks for a grade pays for it

    report = (await grades_of(host, [name])).get(name)
    return {"grade": report.grade if report else None, "missing": list(report.missing) if report else []}


async def change(
    host: Host, name: str, changes: Mapping[str, Any], *, preview: bool, reload: bool = False
) -> SettingsChange:
    """Change the settings of a plugin in the configuration file, or tell what that would do.

    Raises:
        Problem: 404 there is none; 422 it would not accept them; 409 the file cannot be changed, or the reload
            failed, and the old start goes on.
    """
    known = record_named(host, name).name
    try:
        done = await host.change_plugin_settings(known, changes, preview=preview)
        if reload and done.written:
            # Else what the file says now is found by itself.
            by_hand = record_named(host, name).source == "code"
            await host.reload_plugin(known, host.loaded_config.plugin(known).config if by_hand else None)
    except (ConfigError, PluginError) as error:
        status, code = (422, "invalid_config") if isinstance(error, PluginConfigError) else (409, "conflict")
        raise Problem(status, str(error), code=code) from error
    except OSError as error:
        raise Problem(
            409, f"The configuration file cannot be written: {error.strerror}.", code="conflict"
        ) from error
    return done


def _standing(host: Host, name: str) -> Document:
    record = host.plugin(name)
    return {"name": name, "state": record.state.value if record is not None else "not found"}
