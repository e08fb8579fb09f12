"""``python -m plughost``: the command line."""

from __future__ import annotations

from plughost.cli import main

if __name__ == "__main__":
    main()
