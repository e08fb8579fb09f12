"""The code of a plugin by path or url: a folder, wheel or zip file that is not installed.

fetching (by url) -> package -> digests (is it what was pinned) -> unpacking.
"""
