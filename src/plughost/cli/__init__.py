"""The command line: ``plughost``, also ``python -m plughost``.

Nothing is imported here, so that each command pays for itself alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave the process with its exit code.

    Modules of the working folder can be imported, as with ``python -m plughost``: what the application declares in
    ``[host] hookspecs`` lies there. They come last, so that they replace nothing.

    Args:
        arguments: What stands after the program's name; None takes the process's own.
    """
    # Give the program the streams that were closed to it (``2>&-``), leading nowhere. Without them the first file that
    # is opened takes the free number, and what other programs write to standard error ends in it.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(nowhere, True)
            setattr(sys, name, os.fdopen(nowhere, mode, encoding="utf-8"))
    try:
        from plughost.cli.entry import run_program

        try:
            folder = os.getcwd()  # noqa: PTH109  pathlib is not imported for this
        except FileNotFoundError:
            sys.exit("Error: the folder that this was started in was removed. Start it in another")
        if not sys.flags.safe_path and folder not in sys.path:
            sys.path.append(folder)
        code = run_program(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:  # while the first modules were imported; ``run_program`` has words of its own
        sys.stderr.write("Aborted.\n")
        code = 1
    sys.exit(code)
