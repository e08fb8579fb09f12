"""From a hook call to its outcomes."""
