"""Files to write: whether they can be is found out before the work, not after it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import click


class OutputFile(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from click 8.5 on
    """A file to write; folders that it needs are made.

    Args:
        stream: whether ``-`` is standard output.
    """

    name = "file"

    def __init__(self, stream: bool = False) -> None:
        self.stream = stream

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name, of a file that can be written."""
        name = str(value)
        if not name:
            self.fail("found '', expected a file", param, ctx)
        if not (self.stream and name == "-"):
            try:
                try_to_write(Path(name))
            except (OSError, ValueError) as problem:
                what = getattr(problem, "strerror", None) or problem
                self.fail(f"{name}: cannot be written: {what}", param, ctx)
        return name


def try_to_write(path: Path) -> None:
    """Open a file for writing, and leave everything as it was but for the folders.

    Raises:
        OSError: it cannot be written.
    """
    if not path.parent.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
    new = not os.path.lexists(path)
    if not new and stat.S_ISFIFO(path.stat().st_mode):
        return
    with path.open("ab", buffering=0) as file:
        # Nothing at all is more than a device that is full takes.
        file.write(b"")
    if new:
        path.unlink()


__all__ = ["OutputFile", "try_to_write"]
