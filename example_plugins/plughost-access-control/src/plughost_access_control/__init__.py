"""Refuses sign-ins by address, time of day and failure count."""

from plughost_access_control.plugin import AccessConfig, AccessControlPlugin

__all__ = ["AccessConfig", "AccessControlPlugin"]
