"""Pipes and standard input as files: what comes through them can be read only once.

Commands look at the beginning of a file to see what it is and then read all of it, some of them twice.
"""

from __future__ import annotations

import stat
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

NAMES: Final[dict[str, str]] = {}
"""File that a pipe was read into -> what the user calls it."""

_FOLDERS: Final[list[TemporaryDirectory[str]]] = []
"""Kept for as long as the process runs; each goes with it."""

MOST_BYTES: Final = 1 << 30
"""What comes through a pipe at most."""

STANDARD_INPUT: Final = "-"


def is_pipe(file: str) -> bool:
    """Whether a file can be read only once."""
    if file == STANDARD_INPUT:
        return True
    try:
        return stat.S_ISFIFO(Path(file).stat().st_mode)
    except (OSError, ValueError):
        return False


def settled(file: str) -> str:
    """A file that can be read as often as one likes: the one named, or a copy of what the pipe holds.

    Raises:
        ProgramError: the pipe cannot be read, or does not end.
    """
    if not is_pipe(file):
        return file
    known = [copy for copy, name in NAMES.items() if name == called(file)]
    if known:
        return known[0]
    folder = TemporaryDirectory(prefix="tcemu-", ignore_cleanup_errors=True)
    _FOLDERS.append(folder)
    copy = Path(folder.name) / "pipe"
    try:
        read_into(file, copy)
    except OSError as problem:
        from actors.program import not_read  # noqa: PLC0415 - rarely needed

        raise not_read(called(file), problem) from None
    NAMES[str(copy)] = called(file)
    return str(copy)


def read_into(file: str, copy: Path) -> None:
    """Read a pipe to its end.

    Raises:
        OSError: it cannot be read.
        ProgramError: it is longer than allowed.
    """
    with ExitStack() as stack:
        source = sys.stdin.buffer if file == STANDARD_INPUT else stack.enter_context(Path(file).open("rb"))
        target = stack.enter_context(copy.open("wb"))
        while data := source.read(1 << 20):
            target.write(data)
            if target.tell() > MOST_BYTES:
                from actors.program import ProgramError  # noqa: PLC0415 - rarely needed

                raise ProgramError(called(file), f"byte {MOST_BYTES}", "found more, expected an end")


def called(file: str) -> str:
    """What the user calls a file."""
    return "standard input" if file == STANDARD_INPUT else file


def original(text: str) -> str:
    """A text in which copies have the names that the user gave."""
    for copy, name in NAMES.items():
        text = text.replace(copy, name)
    return text


__all__ = ["called", "is_pipe", "original", "settled"]
