"""The inside of a plugin's own process."""
