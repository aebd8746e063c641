"""Source-DPOR with sleep sets: one run for each class of equivalent orders.

Abdulla, Aronis, Jonsson, Sagonas: Optimal dynamic partial order reduction, POPL 2014, algorithm 1;
clocks after Flanagan and Godefroid, POPL 2005. Deviations: races are looked for when an order has
ended rather than at each step, since all runs end; an initial that sleeps already counts as covered;
data choices belong to the step that asks for them and are enumerated below it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from actors.explore.arena import Arena
from actors.explore.strategies.base import Abandoned, Unlike
from actors.explore.strategies.happens import Event, History

if TYPE_CHECKING:
    from actors.explore.result import Result
    from actors.runtime.core import Core
    from actors.runtime.ops import Op
    from actors.runtime.thread import Thread


class Node:
    """A state on the path: who could go on, who will be tried, who need not be.

    Attributes:
        ready: indices of the threads that could go on.
        sleep: thread -> operation; what it would lead to is covered elsewhere.
        backtrack: threads to be tried from here.
        thread: the one that is being tried.
        options: how many options each data choice of its step had.
        taken: the option that is taken at each.
    """

    __slots__ = ("backtrack", "op", "options", "ready", "sleep", "taken", "thread")

    def __init__(
        self, ready: list[int], sleep: dict[int, Op], backtrack: set[int], thread: int, op: Op
    ) -> None:
        self.ready = ready
        self.sleep = sleep
        self.backtrack = backtrack
        self.thread = thread
        self.op = op
        self.options: list[int] = []
        self.taken: list[int] = []

    def next_data(self) -> bool:
        """Turn to the next combination of the step's data choices; False when there is none."""
        while self.taken:
            last = self.taken.pop()
            if last + 1 < self.options.pop():
                self.options.append(0)
                self.taken.append(last + 1)
                return True
        return False


class Dpor:
    """Enumerates equivalence classes of orders.

    Attributes:
        runs: orders run to their end.
        blocked: orders given up because all that could go on slept.
        complete: whether all classes have been run.
    """

    name: ClassVar[str] = "dpor"
    every_step: ClassVar[bool] = True

    def __init__(self, seed: int = 0) -> None:
        self.complete = False
        self.runs = 0
        self.blocked = 0
        self.path: list[Node] = []
        self.trail: list[int] = []
        self.events: list[Event] = []
        self.known = 0
        self.depth = 0
        self.core: Arena | None = None
        self.data_at = 0

    def begin(self, core: Core) -> None:
        """Start at the root again; the steps before the first new one keep their clocks."""
        assert isinstance(core, Arena)
        self.core = core
        self.trail = []
        self.known = max(0, len(self.path) - 1)
        self.depth = self.data_at = 0
        del self.events[self.known :]

    # -- deciding ------------------------------------------------------------------------------

    def pick(self, core: Core) -> Thread:
        """Follow the path; beyond its end let the running thread go on, or the oldest that is awake."""
        depth, ready = self.depth, core.ready
        self.depth = depth + 1
        self.data_at = 0
        if depth < self.known:
            thread = self._again(core, depth)
        else:
            again = depth < len(self.path)
            thread = self._again(core, depth) if again else self._extend(core)
            assert thread.pending is not None
            event = Event(thread.index, thread.pending)
            self.events.append(event)
            self.path[depth].op = event.op
        if len(ready) > 1:
            self.trail.append(thread.index)
        return thread

    def _again(self, core: Core, depth: int) -> Thread:
        """The thread that the path says, which can go on here as it could the last time."""
        thread = core.threads.get(self.path[depth].thread)
        if thread is None or thread not in core.ready:
            there = ", ".join(t.name for t in core.ready)
            raise Unlike(f"thread {self.path[depth].thread} at step {depth}", f"only {there}")
        return thread

    def _extend(self, core: Core) -> Thread:
        """Enter a state that is new on the path; one thread is enough to begin with."""
        sleep = self._asleep()
        awake = [t for t in core.ready if t.index not in sleep] if sleep else core.ready
        if not awake:
            raise Abandoned
        thread = core.current if core.current in awake else awake[0]
        return self._enter(core, sleep, thread.index, {thread.index})

    def _asleep(self) -> dict[int, Op]:
        """Who sleeps after the last step of the path: those whose operations do not depend on it."""
        if not self.path:
            return {}
        last = self.path[-1]
        return {index: other for index, other in last.sleep.items() if not last.op.depends_on(other)}

    def _enter(self, core: Core, sleep: dict[int, Op], index: int, backtrack: set[int]) -> Thread:
        thread = core.threads[index]
        assert thread.pending is not None
        self.path.append(Node([t.index for t in core.ready], sleep, backtrack, index, thread.pending))
        return thread

    def choose(self, label: str, options: int) -> int:
        """Enumerate the options below the step that asks."""
        node, at = self.path[self.depth - 1], self.data_at
        self.data_at += 1
        if at == len(node.taken):
            node.taken.append(0)
            node.options.append(options)
        node.options[at] = options
        if node.taken[at] >= options:
            raise Unlike(f"more than {node.taken[at]} options of {label!r}", f"{options}")
        self.trail.append(node.taken[at])
        return node.taken[at]

    @property
    def estimate(self) -> float | None:
        """How many orders there may be in all, judged by how much of the tree known so far is done.

        Knuth: Estimating the efficiency of backtrack programs, 1975, for the path that has been reached.
        """
        if self.complete:
            return float(self.runs)
        done, share = 0.0, 1.0
        for node in self.path:
            width = len(node.backtrack)
            tried = len(node.backtrack & node.sleep.keys())
            share /= width
            done += share * tried
        return round(self.runs / done if done else 1 / share, 1) if self.path else None

    # -- learning ------------------------------------------------------------------------------

    def end(self, result: Result | None) -> bool:
        """Note the races of the order that has ended and go to the next class."""
        if result is None:
            self.blocked += 1
        else:
            self.runs += 1
        self._learn()
        self.core = None
        while self.path:
            node = self.path[-1]
            if node.next_data():
                return True
            node.taken, node.options = [], []
            node.sleep[node.thread] = node.op
            left = [index for index in node.ready if index in node.backtrack and index not in node.sleep]
            if left:
                node.thread = left[0]
                return True
            self.path.pop()
        self.complete = True
        return False

    def _learn(self) -> None:
        """Look for races, and note who has to be tried where."""
        assert self.core is not None
        history = History(self.events, self.core.births, self.core.completed, self.known)
        for earlier, later in history.races():
            node = self.path[earlier]
            initials = history.initials(earlier, later)
            covered = node.backtrack | node.sleep.keys()
            if not initials & covered:
                self._add(node, initials, self.events[later].thread)

    def _add(self, node: Node, initials: set[int], wanted: int) -> None:
        """Try one of ``initials`` from ``node`` later; all that can go on, should none of them be able to."""
        able = sorted(initials.intersection(node.ready))
        if wanted in able:
            node.backtrack.add(wanted)
        elif able:
            node.backtrack.add(able[0])
        else:
            node.backtrack.update(node.ready)


__all__ = ["Dpor"]
