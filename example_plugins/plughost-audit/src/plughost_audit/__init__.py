"""A plugin that keeps a record of what happened, in which nothing can be changed unnoticed."""

from __future__ import annotations

from plughost_audit.chain import Broken, Chain, Record, verify
from plughost_audit.plugin import AuditConfig, AuditPlugin

__all__ = ["AuditConfig", "AuditPlugin", "Broken", "Chain", "Record", "verify"]
