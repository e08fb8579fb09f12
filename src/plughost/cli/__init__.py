"""The command line: ``plughost``, also ``python -m plughost``.

Nothing is imported here, so that each command pays for itself alone.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave the process with its exit code.

    Args:
        arguments: What stands after the program's name; None takes the process's own.
    """
    from plughost.cli.entry import run_program

    sys.exit(run_program(sys.argv[1:] if arguments is None else arguments))
