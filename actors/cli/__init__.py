"""The command line, ``tcemu``: one file a command, one for exit codes, one for tables.

Importing this package imports neither the emulator nor numpy, trio or rich; a command's module is
imported when the command is run.
"""

from __future__ import annotations

from actors.cli.app import main

__all__ = ["main"]
