"""One generated program, run in a number of orders with every oracle looking.

The first order is the calm one. Then samplers take turns, and an order that shows something that no
earlier order of this program has shown earns it more. Last, a few of the failure points that were
reached fail, one in each order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec

from actors.explore.arena import Arena
from actors.explore.explore import Campaign
from actors.explore.faults import Counting, FailNth, FaultMaker
from actors.explore.result import Result
from actors.explore.run import Prepared
from actors.explore.strategies import Bounded, Pct, Pos, RandomWalk, Strategy, Surw, Trail
from actors.fuzz.coverage import Errors, Watched, pair_features, watch
from actors.kernel.composition import Kernel
from actors.linear.oracle import NOT_JUDGED
from actors.program import Program
from actors.runtime.core import Chooser

BUDGET = 20_000
"""Steps of one order; a program of the generator takes a few hundred."""
FIRST_ORDERS = 8
"""Orders of a program that shows nothing new after the first."""
DUEL = 5
"""Steps of all threads up to which a program gets twice as many orders."""
BONUS = 1
"""Orders that one more earns which has shown something new.

More make a program surer to show what is in it, but another program shows more: with four, and 48 at most,
campaigns took 1.4 times as long to find what v6.12 carries.
"""
MOST_ORDERS = 32
LINEAR = 3
"""In one of so many programs answers are held against the sequential model too: that takes twice the time."""
FAULTY_ORDERS = 4
"""Orders in which a failure point fails."""


class Hit(msgspec.Struct, frozen=True):
    """One way in which a program has failed.

    Attributes:
        key: verdict, invariant and the message without its numbers: failures with one key are alike.
        verdict, invariant, message: what came out.
        signature: of the result, see `Result.signature`.
        choices: the decisions that led there, by index.
        order: the same as stretches of threads.
        fault: the failure point that failed and its number; None for none.
        fatal: what has to end the run for it to show, for a breach that is only noted; "" otherwise.
    """

    key: str
    verdict: str
    invariant: str
    message: str
    signature: tuple[str, str, str]
    choices: tuple[int, ...]
    order: tuple[tuple[str, int], ...]
    fault: tuple[str, int] | None = None
    fatal: str = ""


class Trial(msgspec.Struct, frozen=True):
    """What running a program came to.

    Attributes:
        program: the program.
        features: what was covered, sorted.
        orders: how many were run.
        steps: scheduling steps in all of them.
        hits: the ways in which it failed, each key once.
        mistake: what the emulator itself stumbled over; "" for nothing.
    """

    program: Program
    features: tuple[str, ...]
    orders: int
    steps: int
    hits: tuple[Hit, ...] = ()
    mistake: str = ""


def try_program(program: Program, kernel: Kernel, seed: int, uniform: bool = False) -> Trial:
    """Run a program in many orders.

    Args:
        program: what to run.
        kernel: what to run it on.
        seed: of the orders.
        uniform: random walks only and no reward for what is new: a baseline to be measured against.
    """
    hunt = Hunt(program, kernel, seed)
    mistake = ""
    try:
        hunt.run(uniform)
    except Exception as problem:
        mistake = f"{type(problem).__name__}: {problem}"
    return Trial(
        program, tuple(sorted(hunt.features)), hunt.orders, hunt.steps, tuple(hunt.hits.values()), mistake
    )


class Hunt:
    """One program on its way through its orders.

    Attributes:
        features: what was covered so far.
        hits: failures so far, by key.
    """

    def __init__(self, program: Program, kernel: Kernel, seed: int) -> None:
        self.program = program
        self.kernel = kernel
        self.seed = seed
        self.features: set[str] = set()
        self.pairs: set[Any] = set()
        self.hits: dict[str, Hit] = {}
        self.orders = 0
        self.steps = 0
        self.failed = False

    def run(self, uniform: bool) -> None:
        """Run all orders; the first that fails is the last, what is only noted ends nothing."""
        self.prepared = Prepared(self.program, self.kernel, watch(self.kernel, self.features, self.linear()))
        counting = Counting()
        try:
            self.calm(counting)
            left = self.first_orders()
            walks = self.samplers(uniform)
            while left and not self.failed and self.orders < MOST_ORDERS:
                left += BONUS * self.order(next(walks)) * (not uniform) - 1
            self.faulty(counting.reached)
        finally:
            self.features.update(pair_features(self.pairs))

    def linear(self) -> bool:
        """Whether answers are held against the sequential model, which knows of no device."""
        steps = (*self.program.setup, *(step for thread in self.program.threads for step in thread.steps))
        return self.seed % LINEAR == 0 and not any(step.op == "dma" for step in steps)

    def first_orders(self) -> int:
        """Orders to begin with: none where there is nothing to decide, more where threads do little."""
        if not self.decided or self.prepared.early is not None:
            return 0
        return FIRST_ORDERS * (2 if sum(len(thread.steps) for thread in self.program.threads) <= DUEL else 1)

    def samplers(self, uniform: bool) -> Iterator[Strategy]:
        """Whose turn it is, for ever."""
        seed = self.seed
        turns: list[Strategy] = [Pct(seed, 2), Pos(seed), Pct(seed, 3), Surw(seed)]
        if uniform:
            turns = [RandomWalk(seed)]
        while True:
            yield from turns

    # -- orders --------------------------------------------------------------------------------

    def calm(self, counting: Counting) -> None:
        """The order without preemptions, with errors traced and failure points counted."""
        campaign = self.campaign(Bounded(bound=0), counting)
        campaign.traced = True
        self.order_of(campaign)
        self.decided = bool(campaign.strategy.trail)

    def order(self, strategy: Strategy, faults: FailNth | None = None, name: str = "") -> bool:
        """Run one order; whether it has shown something new."""
        before = len(self.features) + len(self.pairs)
        campaign = self.campaign(strategy, faults)
        campaign.traced = faults is not None
        self.order_of(campaign, (name, faults.nth) if faults is not None else None)
        return len(self.features) + len(self.pairs) > before

    def faulty(self, reached: list[str]) -> None:
        """Fail some of the failure points that the calm order reaches, in calm and random orders."""
        random = Random(self.seed)
        if not reached or self.failed or random.random() < 0.4:
            return
        for number in range(FAULTY_ORDERS):
            nth = random.randrange(len(reached))
            strategy: Strategy = Bounded(bound=0) if number % 2 == 0 else Pos(self.seed + number)
            if not self.failed:
                self.order(strategy, FailNth(nth), reached[nth])

    def campaign(self, strategy: Strategy, faults: FaultMaker | None) -> Watching:
        """A campaign whose orders are watched."""
        return Watching(self.prepared, strategy, faults, self.features, self.pairs)

    def order_of(self, campaign: Watching, fault: tuple[str, int] | None = None) -> None:
        """Run one order and note how it fails; what is only noted beside a failure is a part of it."""
        result = campaign.order()
        self.orders += 1
        if result is None:
            return
        self.steps += result.steps
        for finding in result.findings if result.ok else ():
            if finding.invariant == NOT_JUDGED:
                continue
            fatal = f"{finding.invariant}: {finding.message.split()[0]}"
            self.note(campaign, result, fault, "violation", finding.invariant, finding.message, fatal)
        if not result.ok:
            self.failed = True
            self.note(campaign, result, fault, result.verdict, result.invariant, result.message, "")

    def note(
        self, campaign: Watching, result: Result, fault: tuple[str, int] | None,
        verdict: str, invariant: str, message: str, fatal: str,
    ) -> None:  # fmt: skip
        """Keep a failure of a new kind, with the choices that lead there."""
        key = f"{verdict} {invariant} {fatal or shape(message)}"
        if key in self.hits:
            return
        if result.ok:
            result, _ = campaign.recorded(Trail(campaign.strategy.trail))
        self.hits[key] = Hit(
            key, verdict, invariant, message,
            (verdict, invariant, "") if fatal else result.signature,
            tuple(choice.taken for choice in result.choices), result.order, fault, fatal,
        )  # fmt: skip


class Watching(Campaign):
    """A campaign whose orders are watched for coverage.

    Attributes:
        traced: whether errors between actors are traced too.
    """

    def __init__(
        self,
        model: Prepared,
        strategy: Strategy,
        faults: FaultMaker | None,
        features: set[str],
        pairs: set[Any],
    ) -> None:
        super().__init__(model, strategy, faults, BUDGET)
        self.features = features
        self.pairs = pairs
        self.traced = False

    def core(self, chooser: Chooser, every: bool) -> Arena:
        """A watched runtime for one order."""
        core = Watched(chooser, self.budget, every, self.pairs)
        if self.faults is not None:
            core.faults = self.faults(core)
        if self.traced:
            core.tracer, core.tracing = Errors(core, self.features), True
        return core


def shape(message: str) -> str:
    """A message without its numbers and names' numbers, its first words only."""
    plain = re.sub(r"0x[0-9a-f]+|\d[\d,]*", "#", message).replace("pages", "page")
    return " ".join(plain.split()[:9])


__all__ = ["Hit", "Trial", "try_program"]
