"""Why a service is not there: the plugin whose card promises it does not run, and its record says why."""

from __future__ import annotations

from plughost.core.loading.registry import PluginRegistry, RegisteredPlugin


def why_absent(registry: PluginRegistry, service: str) -> str:
    """Return a sentence about the plugin that would provide a service; empty when no card promises it.

    Args:
        registry: The plugins of the host.
        service: Qualified name of the class, such as ``plughost.contracts.session.SessionManager``. A card may name
            it by any module of its package that has it.
    """
    name = service.rpartition(".")[2]
    for entry in registry.values():
        record = entry.record
        if not entry.running and _promises(entry, service):
            why = f"{record.error.phase}: {record.error.message}" if record.error else record.reason
            return (
                f"{name} is provided by plugin {record.name!r}, which is {record.state}{why and f' ({why})'}. "
                f"`plughost info {record.name}` shows more"
            )
    return ""


def is_expected(registry: PluginRegistry, service: str) -> bool:
    """Whether a plugin that is wanted promises a service, be it that it has not started yet or that it failed."""
    return any(entry.candidate.wanted and _promises(entry, service) for entry in registry.values())


def _promises(entry: RegisteredPlugin, service: str) -> bool:
    package, name = service.partition(".")[0], service.rpartition(".")[2]
    promised = {(one.partition(".")[0], one.rpartition(".")[2]) for one in entry.candidate.card.provides}
    return (package, name) in promised
