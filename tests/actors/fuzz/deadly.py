"""Units of work that end their worker."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import msgspec


class Deadly(msgspec.Struct, frozen=True):
    """Ends its worker, every time or only until it has left a mark."""

    mark: str = ""

    def run(self) -> tuple[()]:
        """Die, unless the mark is there."""
        if self.mark and Path(self.mark).exists():
            return ()
        if self.mark:
            Path(self.mark).write_text("died once")
        os.kill(os.getpid(), signal.SIGKILL)
        return ()


class Fine(msgspec.Struct, frozen=True):
    """Comes to nothing."""

    def run(self) -> tuple[()]:
        """Do nothing."""
        return ()
