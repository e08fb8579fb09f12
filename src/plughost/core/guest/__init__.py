"""The inside of a plugin's own process: what runs there in place of a host.

template (forks) -> birth (limits, before any code of the plugin) -> plugin (its import) -> life (calls, until it ends).
The other files are what the plugin's context is there: what it asks of it is done by the host.
"""
