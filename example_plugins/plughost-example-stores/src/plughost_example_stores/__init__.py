"""Stores for plughost in the memory of a process: examples for authors of stores."""
