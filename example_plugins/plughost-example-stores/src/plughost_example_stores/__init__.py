"""Stores for plughost: examples for authors of stores, one in three methods and one that offers everything."""
