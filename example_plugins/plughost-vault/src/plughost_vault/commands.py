"""``plughost vault``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

import click

from plughost.contracts import CommandLine, json_option
from plughost_vault.rotation import Rotation, RotationReport


@click.group("vault")
def vault_group() -> None:
    """The keys that secrets are sealed with."""


@vault_group.command("rotate")
@json_option
@click.pass_obj
def rotate(line: CommandLine) -> None:
    """Seal everything anew with a new key, and let the old ones go.

    Keys that are configured are yours to change: put a new one first, restart, then run this, then remove the old.
    """

    async def work(host: Any) -> RotationReport:
        return await host.use(Rotation).rotate()  # type: ignore[no-any-return]

    report = line.run(work)
    rows = [f"key {report.key_id} seals from now on"]
    rows += [f"{plugin}: {count} sealed anew" for plugin, count in sorted(report.resealed.items())]
    rows += [f"{plugin}: failed: {why}" for plugin, why in sorted(report.failed.items())]
    if report.kept:
        again = "run this again when it is mended" if report.failed else "remove them from the configuration"
        rows.append(f"still there: {', '.join(report.kept)}; {again}")
    line.show(asdict(report), "\n".join(rows))
    if report.failed:
        sys.exit(3)
