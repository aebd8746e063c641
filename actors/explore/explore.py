"""Campaigns: running a program under many orders until one fails or none is left."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf
from time import monotonic
from typing import Any, TypedDict, Unpack

from actors.check import Oracles
from actors.explore.arena import STEP_BUDGET, Arena
from actors.explore.client import KilledClient, PreparedClient
from actors.explore.faults import FaultMaker
from actors.explore.recorder import Recorder
from actors.explore.result import Finding, Report, Result
from actors.explore.run import Model, Prepared
from actors.explore.scenario import PreparedScenario
from actors.explore.shrink import shrink
from actors.explore.strategies import (
    Abandoned,
    RandomWalk,
    ReplayDivergence,
    Strategy,
    Trail,
    Unlike,
    find_strategy,
)
from actors.explore.verdicts import OracleMaker
from actors.kernel.composition import Kernel
from actors.linear import Linear
from actors.machine import Scenario
from actors.program import MachineSpec, Program
from actors.runtime.core import Chooser
from actors.runtime.errors import EmulatorError, ScenarioError

DEFAULT_SCHEDULES = 2_000
"""Orders of a campaign that was given neither a number nor a time."""

Progress = Callable[[int], None]
"""Told, now and then, how many orders have been run."""


class How(TypedDict, total=False):
    """What else can be said of a search.

    Attributes:
        oracles: who looks for broken invariants.
        linear: also look for a sequential order that explains all answers (``actors.linear``).
        races: also look for data races; costs about a quarter of the speed.
        faults: which failure points fail.
        budget: steps that one order may take.
        spec: for a scenario, what its machine is made of.
        name: for a scenario, its name in reports.
    """

    oracles: OracleMaker
    linear: bool
    races: bool
    faults: FaultMaker | None
    budget: int
    spec: MachineSpec | None
    name: str


def explore(
    subject: Program | Scenario | KilledClient | Model,
    kernel: Kernel | str = "fixed",
    strategy: Strategy | str | None = None,
    schedules: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    *,
    progress: Progress | None = None,
    **how: Unpack[How],
) -> Report:
    """Run a program under many orders and report the first that fails, shortened.

    Args:
        subject: a program, an async function of a machine, a recorded client that is killed, or anything
            prepared.
        kernel: the kernel, for what is not prepared.
        strategy: who chooses the orders; the portfolio when left out.
        schedules: the most orders to run.
        seconds: wall time after which no other order is begun. It can end a campaign, never steer it.
        seed: the same seed gives the same orders.
        progress: told now and then how many orders have been run.
        how: oracles, linear, races, faults, budget, spec, name; see :class:`How`.

    Raises:
        ValueError: no order is to be run at all.
        TypeError: the subject is nothing that can be run.
        UnknownStrategy, UnknownPiece, Conflict: bad names.
        ScenarioError: a mistake of the scenario: it awaits something foreign, or raises an error of its own.
        EmulatorError: a mistake of the emulator, not of the kernel.
        KeyboardInterrupt: whoever wants to keep what was found so far makes a :class:`Campaign`, whose
            :meth:`~Campaign.report` can be asked at any time.
    """
    if schedules is not None and schedules < 1:
        raise ValueError(f"schedules: found {schedules}, expected a number from 1 on")
    if seconds is not None and not 0 <= seconds < inf:
        raise ValueError(f"seconds: found {seconds}, expected a number from 0 on")
    campaign = campaign_on(subject, kernel, strategy, seed, **how)
    return campaign.shown(campaign.run(schedules, seconds, progress))


def campaign_on(
    subject: Program | Scenario | KilledClient | Model,
    kernel: Kernel | str = "fixed",
    strategy: Strategy | str | None = None,
    seed: int = 0,
    *,
    oracles: OracleMaker = Oracles,
    linear: bool = False,
    races: bool = False,
    faults: FaultMaker | None = None,
    budget: int = STEP_BUDGET,
    **options: Any,
) -> Campaign:
    """The campaign that :func:`explore` runs, before its first order."""
    model = prepare(subject, kernel, observers(linear, races, oracles), **options)
    chosen = strategy if isinstance(strategy, Strategy) else find_strategy(strategy or "portfolio", seed)
    return Campaign(model, chosen, faults, budget)


def observers(linear: bool, races: bool, oracles: OracleMaker = Oracles) -> OracleMaker:
    """Who looks: with ``linear`` the sequential model too, with ``races`` the race detector too."""
    if linear:
        return Linear(races=races)
    maker: Callable[..., Oracles] = oracles
    return partial(maker, races=True) if races else oracles


def prepare(
    subject: Program | Scenario | KilledClient | Model,
    kernel: Kernel | str = "fixed",
    oracles: OracleMaker = Oracles,
    **options: Any,
) -> Model:
    """Carry the setup of a program out, so that orders can start from there; a model is ready as it is.

    Raises:
        UnknownPiece, Conflict: bad names of kernels or defects.
    """
    if isinstance(subject, Program):
        return Prepared(subject, kernel, oracles)
    if isinstance(subject, KilledClient):
        return PreparedClient(subject, kernel, oracles)
    if isinstance(subject, Model):
        return subject
    return PreparedScenario(subject, kernel, oracles, **options)


def endless_beside(steps: int) -> int:
    """Steps after which an order counts as endless when held against one that has failed after ``steps``."""
    return 8 * steps + 4_000


class Campaign:
    """One search.

    Attributes:
        orders: orders run so far.
        points: the most steps that one order took.
        seconds: time they took.
        findings: what was noted without ending an order, each kind once.
        failure: the first failing order, as it was found.
        exhausted: whether the strategy has no other order to run.
    """

    def __init__(
        self, model: Model, strategy: Strategy, faults: FaultMaker | None = None, budget: int = STEP_BUDGET
    ) -> None:
        self.model = model
        self.strategy = strategy
        self.faults = faults
        self.budget = budget
        self.orders = 0
        self.points = 0
        self.seconds = 0.0
        self.findings: dict[str, Finding] = {}
        self.failure: Result | None = None
        self.exhausted = False

    def run(
        self, schedules: int | None = None, seconds: float | None = None, progress: Progress | None = None
    ) -> Report:
        """Run orders until one fails, none is left, or enough have been run; then say what it came to."""
        most = schedules if schedules is not None or seconds is not None else DEFAULT_SCHEDULES
        self.go_on(most, seconds, progress)
        return self.report()

    def go_on(
        self, schedules: int | None = None, seconds: float | None = None, progress: Progress | None = None
    ) -> bool:
        """Run orders from where the campaign stands; whether there may be more to find.

        Args:
            schedules: orders in all, those run before included.
            seconds: wall time from now on, after which no other order is begun.
            progress: told now and then how many orders have been run.
        """
        start = monotonic()
        try:
            while not self.done(schedules):
                self.one()
                if progress is not None and self.orders % 64 == 0:
                    progress(self.orders)
                if seconds is not None and monotonic() - start >= seconds:
                    break
        finally:
            self.seconds += monotonic() - start
        return not self.done(schedules)

    def done(self, schedules: int | None = None) -> bool:
        """Whether there is nothing more to run."""
        return (
            self.exhausted or self.failure is not None or (schedules is not None and self.orders >= schedules)
        )

    def one(self) -> None:
        """Run the next order."""
        result = self.order()
        if result is None:
            return
        self.orders += 1
        self.points = max(self.points, result.steps)
        for finding in result.findings:
            self.findings.setdefault(finding.kind, finding)
        if not result.ok:
            self.failure = result

    def order(self) -> Result | None:
        """Run the next order of the strategy; the failing ones with their choices, None for one given up."""
        strategy = self.strategy
        core = self.core(strategy, strategy.every_step)
        strategy.begin(core)
        try:
            result = self.model.run(core)
        except Abandoned:
            self.exhausted = not strategy.end(None)
            return None
        except Unlike as problem:
            raise self.unsteady(str(problem)) from None
        if not result.ok:
            result = self.confirmed(result)
        self.exhausted = not strategy.end(result)
        return result

    def core(self, chooser: Chooser, every: bool) -> Arena:
        """A runtime for one order."""
        core = Arena(chooser, self.budget, every)
        if self.faults is not None:
            core.faults = self.faults(core)
        return core

    def recorded(self, chooser: Chooser) -> tuple[Result, str]:
        """Run one order with its choices recorded; the result and the digest of its steps."""
        recorder = Recorder(chooser)
        result = self.model.run(self.core(recorder, every=True))
        recorded = result._replace(
            choices=tuple(recorder.choices), preemptions=recorder.preemptions, order=tuple(recorder.order)
        )
        return recorded, recorder.digest

    def confirmed(self, failed: Result) -> Result:
        """Run a failing order again to record its choices.

        Raises:
            ScenarioError, EmulatorError: the same decisions do not lead to the same failure.
        """
        try:
            again, _ = self.recorded(Trail(self.strategy.trail))
        except ReplayDivergence as problem:
            raise self.unsteady(str(problem)) from None
        if again.signature != failed.signature or again.steps != failed.steps:
            first = f"{failed.verdict} after {failed.steps} steps ({failed.message})"
            then = f"{again.verdict} after {again.steps} ({again.message})"
            raise self.unsteady(f"first {first}, then {then}")
        return again

    def unsteady(self, how: str) -> EmulatorError:
        """The error for a run that is not the same a second time: of a function it is its author's."""
        if isinstance(self.model, PreparedScenario):
            return ScenarioError(f"{self.model.name}: the scenario is not the same in every run: {how}")
        return EmulatorError(f"{self.model.name} is not deterministic: {how}")

    def shortened(self, failure: Result) -> Result:
        """The failing order made small; orders that get much longer than it are not followed to their end."""
        budget, self.budget = self.budget, min(self.budget, endless_beside(failure.steps))
        try:
            return shrink(failure, lambda chooser: self.recorded(chooser)[0])
        finally:
            self.budget = budget

    def report(self) -> Report:
        """What the campaign came to so far, with the failing order shortened."""
        failure = self.failure
        if failure is not None:
            failure = self.shortened(failure)
        found = failure or Result()
        return Report(
            program=self.model.name,
            kernel=self.model.kernel_name,
            strategy=self.strategy.name,
            schedules=self.orders,
            complete=self.exhausted and self.strategy.complete and failure is None,
            points=self.points,
            seconds=round(self.seconds, 3),
            verdict=found.verdict,
            invariant=found.invariant,
            message=found.message,
            findings=tuple(self.findings.values()),
            schedules_to_first_failure=self.orders if failure else None,
            preemptions=failure.preemptions if failure else None,
            failure=failure,
            estimate=getattr(self.strategy, "estimate", None),
            notes=getattr(self.model, "notes", ()),
        )

    def shown(self, report: Report) -> Report:
        """The report, which in a notebook shows the timeline of its failing order."""
        report.__dict__["campaign"] = Campaign(self.model, RandomWalk(), self.faults, self.budget)
        return report


__all__ = ["Campaign", "How", "campaign_on", "explore", "prepare"]
