"""J-K1, J-K3, J-K4, and sleeping where one may not: what threads hold, and in which order they take it.

Locks are known by their class, such as ``container.group_lock``: an order that two instances have taught
holds for all. A cycle is found when its last edge is taken once, without the deadlock having to happen.
Two instances of one class nest only in one order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

from actors.check.violation import Violation
from actors.runtime.thread import Thread

Edge = tuple[str, str]


class Lockdep:
    """The judge of locks.

    Args:
        found: told of each breach.
    """

    def __init__(self, found: Callable[[Violation], None]) -> None:
        self.found = found
        self.edges: dict[str, dict[str, str]] = {}
        self._known: set[Edge] = set()
        self._classes: dict[str, str] = {}

    # -- taking --------------------------------------------------------------------------------

    def about_to_take(self, thread: Thread, lock: str, mode: str) -> None:
        """``thread`` is about to take ``lock``; all locks of the model are sleeping locks."""
        if thread.rcu_nesting:
            what = f"{thread.name} takes {lock}, which may sleep, inside an RCU read section"
            self.found(Violation("", f"{what} at {thread.place()}", "sleeping"))
        for op in thread.held:
            if (op.object, lock) not in self._known:
                self._known.add((op.object, lock))
                self._edge(thread, op.object, lock, mode)

    def _edge(self, thread: Thread, held: str, lock: str, mode: str) -> None:
        if held == lock:
            self.found(
                Violation(
                    "J-K3",
                    f"{thread.name} takes {lock} ({mode}), which it already holds, at {thread.place()}",
                )
            )
            return
        before, after = self.class_of(held), self.class_of(lock)
        if before == after:
            before, after = held, lock
        if after in self.edges.get(before, {}):
            return
        chain = f"{thread.name} at {thread.place()}: {' -> '.join(op.object for op in thread.held)} -> {lock}"
        self.edges.setdefault(before, {})[after] = chain
        back = self.path(after, before)
        if back:
            others = tuple(self.edges[a][b] for a, b in pairwise(back))
            cycle = f"{after} is taken under {before}, but elsewhere {' -> '.join(back)}"
            self.found(
                Violation("J-K3", f"{cycle}: two threads can wait for each other", accesses=(chain, *others))
            )

    def path(self, start: str, end: str) -> list[str]:
        """The classes from ``start`` to ``end`` along orders that were seen; empty when there is no way."""
        reached: dict[str, str] = {start: ""}
        fresh = [start]
        while fresh:
            at = fresh.pop(0)
            if at == end:
                return walk_back(reached, end)
            for step in self.edges.get(at, {}):
                if step not in reached:
                    reached[step] = at
                    fresh.append(step)
        return []

    def class_of(self, lock: str) -> str:
        """The class of a lock: its name without the number of the instance."""
        known = self._classes.get(lock)
        if known is None:
            head, dot, rest = lock.partition(".")
            known = self._classes[lock] = head.partition(":")[0] + dot + rest
        return known

    # -- giving back ---------------------------------------------------------------------------

    @staticmethod
    def returned(thread: Thread) -> Iterator[Violation]:
        """J-K1 and J-K4, when a system call of ``thread`` has ended."""
        if thread.held:
            names = ", ".join(f"{op.object} ({op.mode})" for op in thread.held)
            holds = tuple(f"{thread.name} holds {op.object}" for op in thread.held)
            yield Violation(
                "J-K1", f"{thread.name} has returned to user space with {names} held", accesses=holds
            )
        if thread.rcu_nesting:
            yield Violation("J-K4", f"{thread.name} has returned to user space {thread.rcu_nesting} RCU read "
                                    f"section{'s' if thread.rcu_nesting > 1 else ''} deep")  # fmt: skip


def walk_back(reached: dict[str, str], end: str) -> list[str]:
    """The way to ``end`` in a search tree, from its root on."""
    way = [end]
    while reached[way[-1]]:
        way.append(reached[way[-1]])
    return way[::-1]
