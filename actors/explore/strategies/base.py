"""The one interface of all strategies: who decides, order after order."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

if TYPE_CHECKING:
    from actors.explore.result import Result
    from actors.runtime.core import Core
    from actors.runtime.thread import Thread


@runtime_checkable
class Strategy(Protocol):
    """A way of searching orders.

    A strategy decides one order after another. Its decisions depend on its seed, on the results it is
    told and on nothing else, so that a campaign can be repeated.
    """

    @property
    def name(self) -> str:
        """As on the command line."""

    @property
    def every_step(self) -> bool:
        """Whether it wants to be asked where only one thread can go on, too."""

    @property
    def complete(self) -> bool:
        """Whether every order has been covered, up to equivalence."""

    @property
    def trail(self) -> list[int]:
        """The decisions of the order in progress with two options or more: threads and options by index."""

    def begin(self, core: Core) -> None:
        """A new order begins on ``core``, whose threads do not exist yet."""

    def choose(self, label: str, options: int) -> int:
        """Return one of ``0 .. options - 1``."""

    def pick(self, core: Core) -> Thread:
        """Return one of ``core.ready``."""

    def end(self, result: Result | None) -> bool:
        """The order has ended; say whether there is another one to run.

        Args:
            result: what it came to; None when the strategy itself gave it up (:class:`Abandoned`).
        """


class Abandoned(Exception):
    """Raised by a strategy to give up an order that it has covered already."""


class Unlike(Exception):
    """Raised by a strategy that meets something else where it has been before: a run is not repeatable."""

    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(f"first {expected}, then {actual}")


class Sampler:
    """What the strategies have in common that draw by chance and never end by themselves.

    Args:
        seed: the same seed gives the same campaign.
    """

    every_step: ClassVar[bool] = False
    complete = False

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.orders = 0
        self.trail: list[int] = []
        self.random = Random(seed)

    def begin(self, core: Core) -> None:
        """Draw from a source that depends on the seed and on the number of the order only."""
        self.trail = []
        self.random.seed((self.seed << 32) + self.orders)
        self.orders += 1

    def choose(self, label: str, options: int) -> int:
        """Draw an option."""
        index = int(self.random.random() * options)
        self.trail.append(index)
        return index

    def end(self, result: Result | None) -> bool:
        """There is always another order."""
        return True


__all__ = ["Abandoned", "Sampler", "Strategy", "Unlike"]
