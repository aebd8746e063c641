"""Playing recorded client streams: what real clients ask for, and what a kernel leaves of it."""

from __future__ import annotations

from actors.execute.play.ending import Ending
from actors.execute.play.killed import killed_client, play_setup
from actors.execute.play.remains import Remains
from actors.execute.play.result import Difference, OpCount, PlayResult
from actors.execute.play.run import play, play_killed
from actors.execute.play.strace import from_strace
from actors.execute.play.together import play_together

__all__ = [
    "Difference",
    "Ending",
    "OpCount",
    "PlayResult",
    "Remains",
    "from_strace",
    "killed_client",
    "play",
    "play_killed",
    "play_setup",
    "play_together",
]
