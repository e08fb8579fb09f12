"""Helpers for the tests of plugin authors and embedding applications."""
