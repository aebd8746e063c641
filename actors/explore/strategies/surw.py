"""SURW: orders of the interesting steps, each as likely as any other.

Zhao, Wolff, Mathur, Roychoudhury: Selectively uniform concurrency testing, ASPLOS 2025. The first
orders are random walks that count, for each object that two threads share and one writes, how often
each thread touches it. Every further order takes one of these objects (or the ones it was told):
a thread is drawn with a chance in proportion to the touches it has left, and no other thread touches
the object before it did; what does not touch it is a random walk. Deviations: threads are known by
name from one order to the next; a thread's touches are those of the longest order seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from actors.explore.strategies.base import Sampler

if TYPE_CHECKING:
    from actors.explore.result import Result
    from actors.runtime.core import Core
    from actors.runtime.thread import Thread

PROFILING_ORDERS = 3


class Surw(Sampler):
    """Samples the orders of accesses to one object evenly.

    Args:
        seed: the same seed gives the same campaign.
        objects: names of the objects that matter; None to take shared ones in turn.
    """

    name: ClassVar[str] = "surw"
    every_step: ClassVar[bool] = True

    def __init__(self, seed: int = 0, objects: Iterable[str] | None = None) -> None:
        super().__init__(seed)
        self.told = tuple(sorted(objects)) if objects is not None else None
        self.counts: dict[str, dict[str, int]] = {}
        self.written: set[str] = set()
        self.seen: dict[str, dict[str, int]] = {}
        self.interesting: frozenset[str] = frozenset()
        self.left: dict[str, int] = {}
        self.intended: str | None = None

    def begin(self, core: Core) -> None:
        """Take the objects of this order."""
        super().begin(core)
        self.seen = {}
        self.intended = None
        self.interesting = self._objects()
        self.left = {}
        for name in sorted(self.interesting):
            for thread, count in self.counts.get(name, {}).items():
                self.left[thread] = self.left.get(thread, 0) + count

    def _objects(self) -> frozenset[str]:
        if self.orders <= PROFILING_ORDERS:
            return frozenset()
        if self.told is not None:
            return frozenset(self.told)
        shared = [name for name in sorted(self.counts) if name in self.written and len(self.counts[name]) > 1]
        return frozenset((shared[int(self.random.random() * len(shared))],)) if shared else frozenset()

    def pick(self, core: Core) -> Thread:
        """Hold back whoever would touch the object before the intended thread."""
        ready, interesting = core.ready, self.interesting
        able = ready
        if interesting:
            self._intend(ready)
            able = [t for t in ready if not self._touches(t) or t.name == self.intended] or ready
        thread = able[int(self.random.random() * len(able))] if len(able) > 1 else able[0]
        self._note(thread)
        if len(ready) > 1:
            self.trail.append(thread.index)
        return thread

    def _touches(self, thread: Thread) -> bool:
        return thread.pending is not None and thread.pending.object in self.interesting

    def _intend(self, ready: list[Thread]) -> None:
        """Draw who touches the object next, unless someone is meant to already and still can."""
        if self.intended is not None and any(t.name == self.intended for t in ready):
            return
        names = [t.name for t in ready if self.left.get(t.name, 0) > 0]
        at = self.random.random() * sum(self.left[name] for name in names)
        self.intended = None
        for name in names:
            self.intended = name
            at -= self.left[name]
            if at < 0:
                break

    def _note(self, thread: Thread) -> None:
        op = thread.pending
        assert op is not None
        touched = self.seen.setdefault(op.object, {})
        touched[thread.name] = touched.get(thread.name, 0) + 1
        if op.write:
            self.written.add(op.object)
        if op.object in self.interesting:
            self.left[thread.name] = max(0, self.left.get(thread.name, 0) - 1)
            if thread.name == self.intended:
                self.intended = None

    def end(self, result: Result | None) -> bool:
        """Remember how often each thread touched what."""
        for name, touched in self.seen.items():
            known = self.counts.setdefault(name, {})
            for thread, count in touched.items():
                known[thread] = max(known.get(thread, 0), count)
        return True


__all__ = ["Surw"]
