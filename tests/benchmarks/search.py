"""What searches cost: orders a second on a machine with all oracles, classes of orders, workers, memory."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path
from time import process_time

from actors.check import Oracles
from actors.explore import Bounded, Dpor, RandomWalk, find_strategy, prepare
from actors.explore.arena import Arena
from actors.explore.explore import Campaign
from actors.explore.run import Model
from actors.explore.scenarios import builtin
from actors.explore.workers import Unit, run_unit, spread_over
from actors.machine import Machine
from actors.runtime.core import Core
from actors.runtime.ops import Op
from actors.runtime.thread import Thread
from tests.actors.explore.test_strategies import TABLE
from tests.benchmarks import harness
from tests.benchmarks.harness import Pairs, at_least, at_most, figure, seconds

BORROWER = "exit-with-lazy-borrower"
ROUNDS = 7
ORDERS = 150


class Blind(Oracles):
    """Oracles that never look."""

    def attach(self) -> None:
        """Listen to nothing."""

    def step(self) -> None:
        """See nothing."""

    def quiescent(self, *, final: bool) -> list[object]:  # type: ignore[override]
        """Find nothing."""
        return []


@cache
def borrower(oracles: Callable[[Machine], Oracles] = Oracles) -> Model:
    """64 MiB registered, 1 MiB mapped; the process exits while a kernel thread borrows its mm."""
    return prepare(builtin(BORROWER), "fixed", oracles)


def orders_a_second(model: Model, strategy: str) -> float:
    """Orders a second of processor time, the search begun again whenever it is complete."""
    run, start = 0, process_time()
    while run < ORDERS:
        campaign = Campaign(model, find_strategy(strategy, run))
        campaign.run(schedules=ORDERS - run)
        run += campaign.orders
    return run / (process_time() - start)


def with_and_without(strategy: str) -> Pairs:
    """A strategy with all oracles, and with none."""
    blind = borrower(Blind)
    for _ in range(ROUNDS):
        yield orders_a_second(borrower(), strategy), orders_a_second(blind, strategy)


@figure(f"{BORROWER}: orders of the default portfolio, all oracles on", "orders/s", "without oracles",
        at_least(500, "value"))  # fmt: skip
def portfolio_orders() -> Pairs:
    return with_and_without("portfolio")


@figure(f"{BORROWER}: orders of source-DPOR, all oracles on", "orders/s", "without oracles",
        at_least(500, "value"))  # fmt: skip
def dpor_orders() -> Pairs:
    return with_and_without("dpor")


@figure(f"{BORROWER}: points of an order", "points", target=at_least(60, "value"))
def points() -> Pairs:
    yield float(Campaign(borrower(), Dpor()).run(schedules=5).points), None


# -- classes of orders --------------------------------------------------------------------------------------


class Steps:
    """A chooser that passes decisions on and notes every step."""

    def __init__(self, inner: Bounded) -> None:
        self.inner = inner
        self.steps: list[tuple[int, Op]] = []

    def choose(self, label: str, options: int) -> int:
        return self.inner.choose(label, options)

    def pick(self, core: Core) -> Thread:
        thread = core.ready[0] if len(core.ready) == 1 else self.inner.pick(core)
        assert thread.pending is not None
        self.steps.append((thread.index, thread.pending))
        return thread

    def order(self) -> frozenset[object]:
        """Which of each two dependent steps came first: all that a class of orders has in common."""
        counts: dict[int, int] = {}
        named = []
        for thread, op in self.steps:
            named.append(((thread, counts.setdefault(thread, 0)), op))
            counts[thread] += 1
        pairs = combinations(named, 2)
        return frozenset((a, b) for (a, x), (b, y) in pairs if a[0] != b[0] and x.depends_on(y))


def classes(model: Model) -> int:
    """Classes of equivalent orders, counted by running every order there is."""
    bounded, found, more = Bounded(), set(), True
    while more:
        steps = Steps(bounded)
        bounded.begin()
        result = model.run(Arena(steps, every=True))
        found.add(steps.order())
        more = bounded.end(result)
    return len(found)


@figure("source-DPOR: orders run for ten small programs", "orders", "classes of orders, by brute force",
        at_most(1))  # fmt: skip
def dpor_is_optimal() -> Pairs:
    searches = [Dpor() for _ in TABLE]
    for dpor, (model, _, _) in zip(searches, TABLE.values(), strict=True):
        Campaign(model, dpor).run()
    run = sum(dpor.runs + dpor.blocked for dpor in searches)
    yield float(run), float(sum(classes(model) for model, _, _ in TABLE.values()))


@figure("source-DPOR: classes of orders of these programs", "orders/s")
def dpor_speed() -> Pairs:
    for _ in range(ROUNDS):
        searches = [Dpor() for _ in TABLE]
        took = seconds(
            lambda searches=searches: [  # type: ignore[misc]
                Campaign(model, dpor).run()
                for dpor, (model, _, _) in zip(searches, TABLE.values(), strict=True)
            ]
        )
        yield sum(dpor.runs for dpor in searches) / took, None


# -- workers and memory -------------------------------------------------------------------------------------


UNITS = [Unit(program=builtin(BORROWER), strategy="random", schedules=120, seed=n) for n in range(8)]


def with_workers(pool: ProcessPoolExecutor) -> float:
    """Orders a second of wall time in the processes of a pool."""
    run: list[int] = []
    took = seconds(lambda: run.extend(report.schedules for report in spread_over(pool, run_unit, UNITS)))
    return sum(run) / took


@figure("two workers", "orders/s", "one", at_least(1.7))
def two_workers() -> Pairs:
    context = get_context("forkserver")
    with ProcessPoolExecutor(1, context) as one, ProcessPoolExecutor(2, context) as two:
        for pool in (one, two):
            with_workers(pool)
        for _ in range(9):
            yield with_workers(two), with_workers(one)


def resident() -> float:
    """Bytes of this process that are in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096.0


def growth(model: Model, warm: int, orders: int) -> Iterator[tuple[float, None]]:
    """Bytes by which an order makes the process grow, once it has run some."""
    walk = Campaign(model, RandomWalk(1))
    walk.run(schedules=warm)
    before = resident()
    walk.run(schedules=warm + orders)
    yield (resident() - before) / orders, None


@figure("memory that an order leaves behind, small model", "bytes", target=at_most(4, "value"))
def growth_of_toys() -> Pairs:
    yield from growth(TABLE["lock with a shared write"][0], 5_000, 1_000_000 if harness.LONG else 50_000)


@figure(f"memory that an order leaves behind, {BORROWER}", "bytes", target=at_most(64, "value"))
def growth_of_machines() -> Pairs:
    yield from growth(borrower(), 500, 100_000 if harness.LONG else 2_000)
