"""Failure points as choices: allocations, limits and firmware calls that fail when told to.

A failure point is a place of the kernel text that asks ``core.fails(name)``. A hook answers. A sweep
first counts how often points are reached in a calm run and then fails each of them in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actors.explore.arena import Arena

FaultHook = Callable[[str], bool]
FaultMaker = Callable[["Arena"], FaultHook]
"""Makes, for each order, the hook that says which failure points fail."""


class Counting:
    """Fails nothing and counts.

    Attributes:
        reached: names of the failure points in the order in which they were reached.
    """

    def __init__(self) -> None:
        self.reached: list[str] = []

    def __call__(self, core: Arena) -> FaultHook:
        """Start counting afresh."""
        self.reached = []
        return self._reach

    def _reach(self, name: str) -> bool:
        self.reached.append(name)
        return False


class FailNth:
    """Fails the ``nth`` failure point that an order reaches, from 0."""

    def __init__(self, nth: int) -> None:
        if nth < 0:
            raise ValueError(f"fail_nth: found {nth}, expected a number from 0 on")
        self.nth = nth

    def __call__(self, core: Arena) -> FaultHook:
        """Return the hook of one order."""
        left = self.nth

        def fails(name: str) -> bool:
            nonlocal left
            left -= 1
            return left == -1

        return fails


class FailByChoice:
    """Makes every failure point a decision, until ``most`` have failed.

    Args:
        most: failures in one order.
        names: the points that may fail; None for all.
    """

    def __init__(self, most: int = 1, names: frozenset[str] | None = None) -> None:
        self.most = most
        self.names = names

    def __call__(self, core: Arena) -> FaultHook:
        """Return the hook of one order."""
        left = self.most

        def fails(name: str) -> bool:
            nonlocal left
            if not left or (self.names is not None and name not in self.names):
                return False
            failed = core.choose(f"fail {name}", 2) == 1
            left -= failed
            return failed

        return fails


__all__ = ["Counting", "FailByChoice", "FailNth", "FaultHook", "FaultMaker"]
