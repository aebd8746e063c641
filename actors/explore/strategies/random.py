"""Random walk: every thread that can go on is as likely as any other.

The baseline of all the papers; good at shallow bugs, hopeless at one far order behind many steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from actors.explore.strategies.base import Sampler

if TYPE_CHECKING:
    from actors.runtime.core import Core
    from actors.runtime.thread import Thread


class RandomWalk(Sampler):
    """Picks uniformly among the threads that are ready."""

    name: ClassVar[str] = "random"

    def pick(self, core: Core) -> Thread:
        """Draw a thread."""
        ready = core.ready
        thread = ready[int(self.random.random() * len(ready))]
        self.trail.append(thread.index)
        return thread
