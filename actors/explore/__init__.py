"""Searching orders: running a program under many schedules, shortening and replaying what fails."""

from actors.explore.beside import explore_async
from actors.explore.explore import explore, observers, prepare
from actors.explore.failure import Failure, capture, load_failure, replay, save_failure
from actors.explore.logged import log_of
from actors.explore.result import Choice, Finding, Report, Result
from actors.explore.run import Prepared, run_once
from actors.explore.scenario import PreparedScenario
from actors.explore.strategies import (
    STRATEGIES,
    Bounded,
    Dpor,
    Pct,
    Portfolio,
    Pos,
    RandomWalk,
    ReplayDivergence,
    Strategy,
    Surw,
    UnknownStrategy,
    find_strategy,
)
from actors.explore.workers import Unit, explore_all

__all__ = [
    "STRATEGIES",
    "Bounded",
    "Choice",
    "Dpor",
    "Failure",
    "Finding",
    "Pct",
    "Portfolio",
    "Pos",
    "Prepared",
    "PreparedScenario",
    "RandomWalk",
    "ReplayDivergence",
    "Report",
    "Result",
    "Strategy",
    "Surw",
    "Unit",
    "UnknownStrategy",
    "capture",
    "explore",
    "explore_all",
    "explore_async",
    "find_strategy",
    "load_failure",
    "log_of",
    "observers",
    "prepare",
    "replay",
    "run_once",
    "save_failure",
]
