"""Bounded search: all orders with at most k deviations from the calm one, for k = 0, 1, 2 ...

Emmi, Qadeer, Rakamaric: Delay-bounded scheduling, POPL 2011; Musuvathi, Qadeer: Iterative context
bounding (CHESS), PLDI 2007. Few deviations find most bugs. A deviation is an option other than the
calm one, so a calm order is one without preemption in which the oldest thread comes next; in
preemption mode a switch is free where the running thread cannot go on.

An order is the list of its deviations; whatever comes after the last one is calm. So every order is
run once, and its children are it and one deviation more, behind the last.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, ClassVar

from actors.explore.recorder import option
from actors.explore.strategies.base import Unlike

if TYPE_CHECKING:
    from actors.explore.result import Result
    from actors.runtime.core import Core
    from actors.runtime.thread import Thread

Deviations = tuple[tuple[int, int], ...]
"""``(number of the decision, option)`` pairs, in order."""


class Bounded:
    """Enumerates orders by their number of deviations.

    Args:
        seed: not used; all strategies take one.
        bound: the most deviations; None for all there are.
        preemptions: count only those that stop a thread that could go on.

    Attributes:
        level: deviations of the orders being run.
    """

    name: ClassVar[str] = "bounded"
    every_step: ClassVar[bool] = False

    def __init__(self, seed: int = 0, bound: int | None = None, preemptions: bool = False) -> None:
        self.bound = bound
        self.preemptions = preemptions
        self.complete = False
        self.level = 0
        self.trail: list[int] = []
        self.levels: dict[int, deque[Deviations]] = {}
        self.current: Deviations = ()
        self.wanted: dict[int, int] = {}
        self.seen: list[tuple[int, int]] = []

    def begin(self, core: Core | None = None) -> None:
        """Start the order that :attr:`current` says."""
        self.trail = []
        self.seen = []
        self.wanted = dict(self.current)

    def choose(self, label: str, options: int) -> int:
        """Take the option that this order deviates to, or the calm one."""
        index = self._wanted(options)
        self.seen.append((options, 1))
        self.trail.append(index)
        return index

    def pick(self, core: Core) -> Thread:
        """Take the thread that this order deviates to, or the calm one."""
        thread = option(core, self._wanted(len(core.ready)))
        cost = 1 if core.current.enabled or not self.preemptions else 0
        self.seen.append((len(core.ready), cost))
        self.trail.append(thread.index)
        return thread

    def _wanted(self, options: int) -> int:
        """The option to take here, which was there the last time too."""
        index = self.wanted.get(len(self.seen), 0)
        if index >= options:
            raise Unlike(f"more than {index} options at decision {len(self.seen)}", f"{options}")
        return index

    def end(self, result: Result | None) -> bool:
        """Note the children of the order that has ended and turn to the next one."""
        start = self.current[-1][0] + 1 if self.current else 0
        for at in range(start, len(self.seen)):
            options, cost = self.seen[at]
            queue = self.levels.setdefault(self.level + cost, deque())
            for index in range(1, options):
                queue.append((*self.current, (at, index)))
        return self._next()

    def _next(self) -> bool:
        while True:
            queue = self.levels.get(self.level)
            if queue:
                self.current = queue.popleft()
                return True
            self.levels.pop(self.level, None)
            if not self.levels:
                self.complete = True
                return False
            if self.bound is not None and self.level >= self.bound:
                return False
            self.level += 1


__all__ = ["Bounded"]
