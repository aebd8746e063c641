"""The command line, ``tcemu``: one file a command, one for exit codes, one for tables.

Importing this package imports neither click nor the emulator, numpy, trio or rich; a command's module is
imported when the command is run.
"""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Be the command ``tcemu``; an interrupt that comes before it can deal with one is dealt with here."""
    try:
        from actors.cli import app  # noqa: PLC0415 - takes its time, in which one may be interrupted

        app.main()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)


__all__ = ["main"]
