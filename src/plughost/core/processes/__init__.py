"""A plugin's own process: how it is begun, kept to its limits, confined, and what is told of it."""
