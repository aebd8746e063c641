"""Ways of searching orders, one file each, behind one small interface."""

from __future__ import annotations

from collections.abc import Callable

from actors.explore.strategies.after import After
from actors.explore.strategies.base import Abandoned, Strategy, Unlike
from actors.explore.strategies.bounded import Bounded
from actors.explore.strategies.dpor import Dpor
from actors.explore.strategies.pct import Pct
from actors.explore.strategies.portfolio import Portfolio
from actors.explore.strategies.pos import Pos
from actors.explore.strategies.random import RandomWalk
from actors.explore.strategies.replay import Lenient, Replay, ReplayDivergence, Trail
from actors.explore.strategies.stateful import Stateful
from actors.explore.strategies.surw import Surw

STRATEGIES: dict[str, Callable[[int], Strategy]] = {
    "portfolio": Portfolio,
    "random": RandomWalk,
    "pct": Pct,
    "pos": Pos,
    "surw": Surw,
    "bounded": Bounded,
    "dpor": Dpor,
    "stateful": Stateful,
}
"""Name on the command line -> what makes the strategy from a seed; the first is the default."""


class UnknownStrategy(ValueError):
    """A name that no strategy has."""


def find_strategy(name: str, seed: int = 0) -> Strategy:
    """Make the strategy of that name.

    Raises:
        UnknownStrategy: there is none.
    """
    if name not in STRATEGIES:
        raise UnknownStrategy(f"no strategy {name!r}; there are {', '.join(STRATEGIES)}")
    return STRATEGIES[name](seed)


__all__ = [
    "STRATEGIES",
    "Abandoned",
    "After",
    "Bounded",
    "Dpor",
    "Lenient",
    "Pct",
    "Portfolio",
    "Pos",
    "RandomWalk",
    "Replay",
    "ReplayDivergence",
    "Stateful",
    "Strategy",
    "Surw",
    "Trail",
    "UnknownStrategy",
    "Unlike",
    "find_strategy",
]
