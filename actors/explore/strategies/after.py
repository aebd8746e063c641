"""Exploring on after a recorded beginning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from actors.explore.recorder import option

if TYPE_CHECKING:
    from actors.explore.result import Choice, Result
    from actors.explore.strategies.base import Strategy
    from actors.runtime.core import Core
    from actors.runtime.thread import Thread


class After:
    """Takes recorded decisions first and leaves the rest to another strategy, in every order.

    What that strategy covers completely is what can come after the beginning, so the search as a whole
    is never complete. It must be one that is asked at decisions only: DPOR has to see every step.

    Args:
        choices: the beginning.
        inner: who decides from there.
    """

    every_step = False
    complete = False

    def __init__(self, choices: Sequence[Choice], inner: Strategy) -> None:
        if inner.every_step:
            raise ValueError(
                f"{inner.name} cannot go on after a recorded beginning; random, pct, pos and bounded can"
            )
        self.choices = choices
        self.inner = inner
        self.at = 0
        self.begun: list[int] = []

    @property
    def name(self) -> str:
        """The other strategy's."""
        return self.inner.name

    @property
    def trail(self) -> list[int]:
        """The decisions of the order in progress."""
        return self.begun + self.inner.trail

    def begin(self, core: Core) -> None:
        """A new order begins."""
        self.at = 0
        self.begun = []
        self.inner.begin(core)

    def choose(self, label: str, options: int) -> int:
        """Take the recorded option while there is one."""
        if self.at >= len(self.choices):
            return self.inner.choose(label, options)
        taken = min(self._next(), options - 1)
        self.begun.append(taken)
        return taken

    def pick(self, core: Core) -> Thread:
        """Take the recorded thread while there is one."""
        if self.at >= len(self.choices):
            return self.inner.pick(core)
        thread = option(core, min(self._next(), len(core.ready) - 1))
        self.begun.append(thread.index)
        return thread

    def _next(self) -> int:
        self.at += 1
        return self.choices[self.at - 1].taken

    def end(self, result: Result | None) -> bool:
        """The order has ended."""
        return self.inner.end(result)


__all__ = ["After"]
