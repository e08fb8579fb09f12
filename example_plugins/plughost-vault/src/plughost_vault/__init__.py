"""A plugin that seals the secrets other plugins have to keep."""

from __future__ import annotations

from plughost_vault.protocols import Reseal, Vault, VaultError

__all__ = ["Reseal", "Vault", "VaultError"]
