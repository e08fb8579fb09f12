"""A plugin's own process: how it is begun, kept to its limits, confined, and what is told of it.

housing -> template (forks) -> guest (one process) -> requests, hearing (what it asks and says); ``stand_in`` is what
the host calls in its place. ``confine`` runs in that process, and ``landlock`` and ``seccomp`` with it.
"""
