"""Changing the key: a new one seals from now on, plugins seal what they keep anew, the old ones go."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from plughost.contracts import error_line
from plughost_vault.key_file import KeyFile
from plughost_vault.ring import KeyRing


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationReport:
    """What a rotation did.

    Attributes:
        key_id: The key that seals now.
        resealed: Plugin to how many texts it has sealed anew.
        failed: Plugin to why it could not.
        removed: How many old keys went.
        kept: Names of old keys that are still there.
    """

    key_id: str
    resealed: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    removed: int = 0
    kept: tuple[str, ...] = ()


class Rotation:
    """The service behind ``plughost vault rotate``.

    Args:
        ring: The keys.
        file: The vault's own file; None when keys are configured, which is the deployer's to change.
        hooks: The hooks of the host.
    """

    def __init__(self, ring: KeyRing, file: KeyFile | None, hooks: Any) -> None:
        self._ring, self._file, self._hooks = ring, file, hooks

    async def rotate(self) -> RotationReport:
        """Seal everything with a new key, or with the first that is configured.

        An old key in the vault's own file goes when every plugin has sealed anew what it keeps; when one could
        not, the old keys stay.
        """
        if self._file is not None:
            self._file.add()
            self._ring.refresh()
        report = await self._hooks.reseal_secrets.report(reseal=self._ring.reseal)
        resealed = {
            one.plugin: one.value for one in report.outcomes if one.kind == "value" and one.value is not None
        }
        failed = {
            one.plugin: error_line(one.error) if one.error is not None else one.kind
            for one in report.outcomes
            if one.kind not in ("value", "skipped")
        }
        removed = 0
        if self._file is not None and not failed:
            removed = self._file.keep_newest()
            self._ring.refresh()
        newest, *older = self._ring.key_ids
        return RotationReport(
            key_id=newest, resealed=resealed, failed=failed, removed=removed, kept=tuple(older)
        )
