"""The fleet: many hosts seen and steered as one, on a store that they share."""

from __future__ import annotations

from plughost.plugins.fleet.plugin import FleetPlugin

__all__ = ["FleetPlugin"]
