"""A pytest plugin under which pluggy's own tests run on the plugin manager of a host, whatever their markers' name.

``pytest -p pluggys_own path/to/pluggy/testing``, with this folder on the path; ``tox -e conformance`` does it.
"""

import pluggy

from plughost import Host


class ManagerOfAHost(pluggy.PluginManager):
    """What the tests get when they make a ``pluggy.PluginManager``: that of a new host, as they wish to see it."""

    def __new__(cls, project_name):
        manager = Host.for_pluggy(project_name, (), environ={}, config={}).pluggy
        if cls is not ManagerOfAHost:  # a test's own class derives from it
            manager.__class__ = type(cls.__name__, (cls, type(manager)), {})
        return manager

    def __init__(self, project_name):
        """The host has made it already."""


pluggy.PluginManager = ManagerOfAHost
