"""Playing recorded client streams: what real clients ask for, and what a kernel leaves of it."""

from __future__ import annotations

from actors.execute.play.killed import Prefix, killed_client, prefix_of
from actors.execute.play.remains import Remains
from actors.execute.play.result import Difference, OpCount, PlayResult
from actors.execute.play.run import Ending, play, play_killed, play_together
from actors.execute.play.strace import from_strace

__all__ = [
    "Difference",
    "Ending",
    "OpCount",
    "PlayResult",
    "Prefix",
    "Remains",
    "from_strace",
    "killed_client",
    "play",
    "play_killed",
    "play_together",
    "prefix_of",
]
