"""What travels between a host and a plugin in a process of its own: bytes, frames, values, faults, calls."""
