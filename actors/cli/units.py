"""One row of ``tcemu stress``: what is searched on a kernel, in turns, and its failure kept in a file."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from msgspec import structs

from actors.cli.clients import KILLS, Client, kills
from actors.cli.exits import BadInput
from actors.cli.subjects import Subject
from actors.explore import Report, Result, capture, observers, prepare, save_failure
from actors.explore.arena import STEP_BUDGET, Arena
from actors.explore.client import KilledClient
from actors.explore.explain import explain
from actors.explore.explore import Campaign, endless_beside
from actors.explore.failure import NO_FAULTS, Faults
from actors.explore.failure import Subject as Searched
from actors.explore.faults import Counting
from actors.explore.kill import processes_of, with_kill
from actors.explore.known import known_as
from actors.explore.result import Choice, Finding
from actors.explore.scenario import Function
from actors.explore.strategies import After, Strategy, find_strategy
from actors.kernel.composition import Kernel
from actors.program import Program

FAILURES = Path(".tcemu") / "failures"
"""Where failing orders are kept, below the folder in which the command runs."""

SCENARIO_BUDGET = 20_000
"""Steps that one order of an async function may take: what somebody writes by hand makes a few hundred."""

TURN = 20
"""Orders that one of several parts of a row runs before it is the next one's turn."""


class Unit(NamedTuple):
    """What to search, and how; a value that workers can be sent.

    Attributes:
        subject: a program, a scenario or a recorded client, which is killed where it says or at drawn points.
        kernel: what it runs on.
        generation: the name of the kernel before switches were added and taken away.
        strategy: who chooses the orders.
        schedules: the most orders to run; None for no limit but the time.
        seed: of the strategy.
        fail_nth: the failure point to fail, or ``all`` for none and then each in turn; None for none.
        fail: failure points of which one may fail in each order.
        kill: the process to kill at any point, or ``all`` for each in turn; None for none.
        after: decisions after which the strategy begins to choose.
        expected: what its program says will come out: ``ok``, a verdict, an invariant; "" for nothing.
        linear: also look for a sequential order that explains all answers.
        races: also look for data races.
    """

    subject: Subject | KilledClient
    kernel: Kernel
    generation: str = ""
    strategy: str = "portfolio"
    schedules: int | None = None
    seed: int = 0
    fail_nth: int | str | None = None
    fail: tuple[str, ...] = ()
    kill: int | str | None = None
    after: tuple[Choice, ...] = ()
    expected: str = ""
    linear: bool = False
    races: bool = False

    @property
    def name(self) -> str:
        """Of what is searched, for reports."""
        if isinstance(self.subject, Program | Client | KilledClient):
            return self.subject.name
        return Function.of(self.subject).name

    def chooser(self) -> Strategy:
        """The strategy, before its first order."""
        strategy = find_strategy(self.strategy, self.seed)
        return After(self.after, strategy) if self.after else strategy


class Part:
    """One campaign of a row: all there is, or one kill or failure point of several that take turns.

    Attributes:
        label: which one, as a beginning of a sentence; "" for all there is.
    """

    def __init__(self, unit: Unit, subject: Searched, faults: Faults = NO_FAULTS, label: str = "") -> None:
        self.unit = unit
        self.subject = subject
        self.faults = faults
        self.label = label
        self.campaign: Campaign | None = None

    def go_on(self, schedules: int | None, seconds: float | None, turn: int | None = None) -> bool:
        """Run orders, at most so many in all and so many in this turn; whether there may be more to find."""
        if self.campaign is None:
            self.campaign = self.campaign_on(self.unit.kernel)
        limits = [schedules, None if turn is None else self.campaign.orders + turn]
        self.campaign.go_on(min((limit for limit in limits if limit is not None), default=None), seconds)
        return not self.campaign.done(schedules)

    def campaign_on(self, kernel: Kernel) -> Campaign:
        """The campaign on a kernel, before its first order."""
        options: dict[str, Any] = {}
        if not isinstance(self.subject, Program | KilledClient):
            options["name"] = self.unit.name
        model = prepare(self.subject, kernel, observers(self.unit.linear, self.unit.races), **options)
        return Campaign(model, self.unit.chooser(), self.faults.maker(), self.budget)

    @property
    def budget(self) -> int:
        """Steps after which an order counts as endless."""
        return STEP_BUDGET if isinstance(self.subject, Program | KilledClient) else SCENARIO_BUDGET

    @property
    def failed(self) -> bool:
        """Whether an order has failed."""
        return self.campaign is not None and self.campaign.failure is not None

    def failure(self) -> Report:
        """The failure, shortened, kept in a file, explained, and its cause if it is a known one."""
        assert self.campaign is not None
        report = self.campaign.report()
        assert report.failure is not None
        found = capture(
            self.subject,
            self.unit.kernel,
            report.failure,
            fail_nth=self.faults.nth,
            fail=self.faults.names,
            budget=self.budget,
        )
        found = structs.replace(found, known_as=self.cause(report))
        return structs.replace(
            report,
            message=f"{self.label}: {report.message}" if self.label else report.message,
            known_as=found.known_as,
            failure_file=str(save_failure(found, FAILURES)),
            explanation=explain(found, report.failure.accesses, self.campaign.model),
            failure=None,
        )

    def cause(self, report: Report) -> str | None:
        """The known defect behind a failure, found by searching again without each that could be."""

        def again(kernel: Kernel, schedules: int) -> tuple[str, str]:
            campaign = self.campaign_on(kernel)
            campaign.budget = min(campaign.budget, endless_beside(report.points))
            campaign.go_on(schedules)
            found = campaign.failure or Result()
            return found.verdict, found.invariant

        return next(iter(known_as(report, self.unit.kernel, again)), None)


class Search:
    """One row, searched a slice of time after another.

    Attributes:
        parts: its campaigns.
        broken: the one that has failed.
    """

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.parts = list(parts_of(unit))
        self.turns = deque(self.parts)
        self.broken: Part | None = None
        self.seconds = 0.0

    def go_on(self, seconds: float | None) -> bool:
        """Run orders for about so long, each part in its turn; whether there may be more to find."""
        begin = now = monotonic()
        share = None if seconds is None else seconds / max(1, len(self.turns))
        try:
            while self.turns and (seconds is None or now - begin < seconds):
                part = self.turns[0]
                more = part.go_on(self.orders_of_a_part(), share, TURN if len(self.turns) > 1 else None)
                self.turns.rotate(-1) if more else self.turns.popleft()
                if part.failed:
                    self.broken = part
                    self.turns.clear()
                now = monotonic()
        finally:
            self.seconds += monotonic() - begin
        return bool(self.turns)

    def orders_of_a_part(self) -> int | None:
        """The most orders of one part: a client's kills share them, other parts get as many each."""
        if self.unit.schedules is None or not isinstance(self.unit.subject, Client):
            return self.unit.schedules
        return -(-self.unit.schedules // len(self.parts))

    @property
    def orders(self) -> int:
        """Orders run so far."""
        return sum(part.campaign.orders for part in self.parts if part.campaign is not None)

    def report(self) -> Report:
        """What the row came to so far."""
        begun = [part.campaign for part in self.parts if part.campaign is not None]
        tried = [part.campaign for part in self.parts if part.campaign is not None and part.label]
        first = self.broken.failure() if self.broken is not None else None
        complete = first is None and len(begun) == len(self.parts) and all(map(covered, begun))
        found: dict[str, Finding] = {}
        notes: dict[str, None] = {}
        for campaign in begun:
            found = campaign.findings | found
            notes |= dict.fromkeys(getattr(campaign.model, "notes", ()))
        return structs.replace(
            first or self.fine(),
            program=self.unit.name,
            schedules=self.orders,
            complete=complete and not isinstance(self.unit.subject, Client),
            points=max((campaign.points for campaign in begun), default=0),
            seconds=round(self.seconds, 3),
            findings=tuple(found.values()),
            notes=tuple(notes),
            schedules_to_first_failure=self.orders if first is not None else None,
            places=(sum(map(covered, tried)), len(tried)) if any(part.label for part in self.parts) else None,
        )

    def fine(self) -> Report:
        """The report of a row in which nothing has failed, with the estimate of its orders if any."""
        only = self.parts[0].campaign if len(self.parts) == 1 else None
        return Report(
            program=self.unit.name,
            kernel=self.unit.kernel.name,
            strategy=self.unit.strategy,
            schedules=0,
            complete=False,
            points=0,
            estimate=getattr(only.strategy, "estimate", None) if only is not None else None,
        )


def run_unit(unit: Unit, seconds: float | None = None) -> Report:
    """Search one row, for as long as it takes or so many seconds."""
    search = Search(unit)
    search.go_on(seconds)
    return search.report()


def covered(campaign: Campaign) -> bool:
    """Whether a campaign has run every order, up to equivalence, and none failed."""
    return campaign.exhausted and campaign.strategy.complete and campaign.failure is None


def parts_of(unit: Unit) -> Iterator[Part]:
    """The campaigns of a row.

    Raises:
        BadInput: a process to kill that there is not.
    """
    for subject, label in subjects_of(unit):
        if unit.fail_nth == "all":
            yield Part(unit, subject, label=label)
            for number, name in enumerate(failure_points(subject, unit.kernel)):
                told = ", ".join(filter(None, (label, f"with failure point {number}, {name}")))
                yield Part(unit, subject, Faults(number), told)
        else:
            nth = None if unit.fail_nth is None else int(unit.fail_nth)
            yield Part(unit, subject, Faults(nth, unit.fail), label)


def subjects_of(unit: Unit) -> Iterator[tuple[Searched, str]]:
    """What is searched, and what is said of it."""
    subject = unit.subject
    if isinstance(subject, Client):
        for killed in kills(subject, unit.seed, min(KILLS, unit.schedules or KILLS)):
            yield killed, f"killed after {killed.calls:,} of its calls"
        return
    if unit.kill is None:
        yield subject, ""
        return
    if not isinstance(subject, Program):
        raise BadInput(f"--kill: {unit.name} is a function, whose processes nobody knows beforehand")
    there = processes_of(subject)
    if unit.kill != "all" and unit.kill not in there:
        known = ", ".join(map(str, there))
        raise BadInput(f"--kill: {subject.name} has no process {unit.kill}; it has {known}")
    for process in there if unit.kill == "all" else (int(unit.kill),):
        yield with_kill(subject, process), f"with a kill of actor {process}"


def failure_points(subject: Searched, kernel: Kernel) -> list[str]:
    """The failure points that the calm order reaches, by name."""
    counting, core = Counting(), Arena()
    core.faults = counting(core)
    prepare(subject, kernel).run(core)
    return counting.reached


__all__ = ["FAILURES", "Part", "Search", "Unit", "covered", "run_unit"]
