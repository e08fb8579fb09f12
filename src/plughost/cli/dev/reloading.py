"""What becomes of a plugin when its files are saved."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from pathlib import Path

from plughost.cli.dev.folders import DevPlugin, plugins_in
from plughost.cli.dev.watching import saved_files
from plughost.cli.tables import seconds
from plughost.contracts.records import RUNNING_STATES
from plughost.core.finding.sources import MANIFEST
from plughost.exceptions import PlughostError
from plughost.host import Host

Tell = Callable[[str], None]
"""Writes a line for people."""


def expect_changes() -> None:
    """Keep Python from writing compiled code.

    It compares time stamps in whole seconds: of two saves within one, the second might not be seen.
    """
    sys.dont_write_bytecode = True


async def reload_on_save(host: Host, folders: Sequence[Path], tell: Tell) -> None:
    """Reload the plugins of a folder, or of a file, whenever something in it is saved, until cancelled.

    A plugin that does not start any more goes on as it was, if it ran; the reason is told.
    """
    groups = host.config.host.plugin_groups
    known = {folder: plugins_in([folder], groups) for folder in folders}
    async with aclosing(saved_files(folders)) as changes:
        async for changed in changes:
            for folder, plugins in known.items():
                base = folder.parent if folder.suffix == ".py" else folder
                mine = sorted(file.relative_to(base) for file in changed if file.is_relative_to(folder))
                if not mine:
                    continue
                tell(f"Saved: {', '.join(map(str, mine))}")
                if Path(MANIFEST) in mine and plugins_in([folder], groups) != plugins:
                    tell(f"{folder / MANIFEST} declares other plugins now: stop and start again to see them.")
                for plugin in plugins:
                    await _bring_up_to_date(host, plugin, tell)


async def _bring_up_to_date(host: Host, plugin: DevPlugin, tell: Tell) -> None:
    record = host.plugin(plugin.name)
    began = time.perf_counter()
    try:
        if record is not None and record.state in RUNNING_STATES:
            record = await host.reload_plugin(plugin.name)
            what = "reloaded"
        else:
            record = await host.load_plugin(plugin.name)
            what = "loaded"
    except PlughostError as error:
        now = host.plugin(plugin.name)
        still = "; it goes on as it was" if now is not None and now.state in RUNNING_STATES else ""
        tell(f"{plugin.name}: not reloaded{still}. {error}")
        return
    took = seconds(time.perf_counter() - began)
    tell(f"{plugin.name}: {what} in {took}, {record.state}, start {record.generation}")
