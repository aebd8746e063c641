"""A test under many orders: the search, the failing order kept in a file, and what is said of it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from actors.explore import PreparedScenario, Report, find_strategy, prepare
from actors.explore.explain import explained
from actors.explore.explore import Campaign
from actors.explore.failure import Switches
from actors.explore.faults import FailByChoice
from actors.explore.logged import log_in
from actors.explore.run import Model
from actors.explore.strategies import Lenient, Replay, ReplayDivergence
from actors.kernel.composition import Kernel
from actors.machine import Machine, Scenario
from actors.program import MachineSpec, Program, ProgramError
from actors.runtime.errors import EmulatorError, ScenarioError
from actors.testing.collecting import PROPERTY
from actors.testing.failures import FailingOrder, load_order, save_order
from actors.testing.options import FAILURES, LOGS, SCHEDULES, SEED, STRATEGY, Options
from actors.testing.plugin import EXPLORE_KEYS, MEMORY, ORDER, machine_changes
from actors.testing.wanted import complaint, guarded, seed_of, subject_of
from actors.trace.interleaving import lines
from actors.trace.jsonl import Log, write_log

if TYPE_CHECKING:
    from collections.abc import Coroutine


ROWS = 40
"""Rows of the table of a failing order."""


class Explorer:
    """Explores on behalf of one test.

    Args:
        item: the test.
        options: of the run.
        kernel: what it runs on.
        own: what the test says itself, as keywords of the mark.
    """

    def __init__(
        self, item: pytest.Item, options: Options, kernel: Kernel | str, own: Mapping[str, Any]
    ) -> None:
        self.item = item
        self.options = options
        self.kernel = kernel
        self.own = own

    def __call__(
        self, subject: Program | Scenario | str, kernel: Kernel | str | None = None, **own: Any
    ) -> Report:
        """Search the orders of a program or a scenario, and fail the test unless what is expected comes out.

        Args:
            subject: a program, the name of a built-in one, the path of a file, or an async function of a
                machine.
            kernel: what it runs on; the kernel of the test when left out.
            own: strategy, schedules, seed, faults, expect, as in the mark.
        """
        unknown = sorted(own.keys() - EXPLORE_KEYS)
        if unknown:
            pytest.fail(
                f"explore: found {unknown[0]}, expected {', '.join(sorted(EXPLORE_KEYS))}", pytrace=False
            )
        wrong = complaint(own, self.options)
        if wrong:
            pytest.fail(f"explore: {wrong}", pytrace=False)
        explorer = Explorer(self.item, self.options, kernel or self.kernel, own)
        return explorer.explore(explorer.searched(subject_of(subject)))

    def searched(self, subject: Program | Scenario) -> Model:
        """The subject, ready to be run."""
        if isinstance(subject, Program):
            return prepare(subject, self.kernel)
        return PreparedScenario(guarded(subject), self.kernel, spec=self.spec(), name=subject.__qualname__)

    def spec(self) -> MachineSpec:
        """The machine that the test wants."""
        return structs.replace(MachineSpec(), **machine_changes(self.item))

    def test(self, test: Callable[..., Coroutine[Any, Any, Any]]) -> None:
        """Explore the test itself."""

        async def scenario(machine: Machine) -> None:
            await test(machine=machine)

        self.explore(
            PreparedScenario(guarded(scenario), self.kernel, spec=self.spec(), name=self.item.nodeid)
        )

    # -- searching -----------------------------------------------------------------------------

    def explore(self, model: Model) -> Report:
        """Search the orders of a model, and fail the test unless what is expected comes out."""
        strategy, seed = self.options.over(STRATEGY, self.own.get("strategy")), self.seed(model)
        faults = FailByChoice(self.own["faults"]) if self.own.get("faults") else None
        campaign = Campaign(model, find_strategy(strategy, seed), faults)
        recorded = self.recorded(model)
        report, problem = self.attempted(campaign, recorded)
        if report is None:
            pytest.fail(problem, pytrace=False)
        return self.judged(campaign, report, seed)

    def attempted(self, campaign: Campaign, recorded: FailingOrder | None) -> tuple[Report | None, str]:
        """The report of the replay or of the search; None when there is none, and why."""
        try:
            if recorded is not None:
                return replayed(campaign, recorded), ""
            return self.again(campaign) or campaign.run(self.schedules), ""
        except ReplayDivergence as problem:
            return None, f"{self.item.nodeid}: {problem}"
        except (EmulatorError, ScenarioError) as problem:
            return None, str(problem)

    @property
    def schedules(self) -> int:
        """Orders to run."""
        return int(self.options.over(SCHEDULES, self.own.get("schedules")))

    def seed(self, model: Model) -> int:
        """The seed of this search: the test's own, else one made from that of the run and the name."""
        own = self.own.get("seed")
        name = self.item.nodeid if model.name == self.item.nodeid else f"{self.item.nodeid} {model.name}"
        return int(own) if own is not None else seed_of(self.options[SEED], name)

    def recorded(self, model: Model) -> FailingOrder | None:
        """The order to be replayed, if it is one of this model's."""
        order = self.item.config.stash.get(ORDER, None)
        return order if order is not None and order.subject == model.name else None

    def again(self, campaign: Campaign) -> Report | None:
        """Try the order first in which the test failed last time; None unless it fails again."""
        file = self.item.config.stash[MEMORY].before.get(self.item.nodeid)
        if not file or not (self.root / file).is_file():
            return None
        order = load_order(self.root / file)
        if order.subject != campaign.model.name:
            return None
        result, _ = campaign.recorded(Lenient([choice.taken for choice in order.choices]))
        if result.ok:
            return None
        campaign.failure, campaign.orders, campaign.points = result, 1, result.steps
        return campaign.report()

    # -- judging -------------------------------------------------------------------------------

    def judged(self, campaign: Campaign, report: Report, seed: int) -> Report:
        """Note what came out, and fail the test unless that is expected."""
        expected = self.own.get("expect") or "ok"
        if not isinstance(expected, str):
            expected = expected.get(report.kernel, "ok")
        seen = {report.verdict, report.invariant, *(finding.invariant for finding in report.findings)} - {""}
        file = self.keep(campaign, report) if report.failure is not None and expected not in seen else None
        self.note(report, seed, file)
        if expected in seen:
            return report
        if report.failure is None or file is None:
            pytest.fail(
                f"{report.program} on {report.kernel}: expected {expected}, but {came_to(report)}", False
            )
        pytest.fail(self.story(campaign, report, seed, file), pytrace=False)

    def note(self, report: Report, seed: int, file: Path | None) -> None:
        """Give the test properties that reporters of all kinds show."""
        values = {
            "seed": seed,
            "kernel": report.kernel,
            "strategy": report.strategy,
            "schedules": report.schedules,
            "complete": report.complete,
            "verdict": report.verdict,
            "invariant": report.invariant,
            "failure_file": relative(file, self.root) if file is not None else None,
        }
        self.item.user_properties.extend((PROPERTY + name, value) for name, value in values.items())

    def keep(self, campaign: Campaign, report: Report) -> Path:
        """Write the failing order into a file."""
        failure = report.failure
        assert failure is not None
        result, digest = campaign.recorded(Replay(failure.choices))
        kernel = getattr(campaign.model, "kernel", None)
        order = FailingOrder(
            test=self.item.nodeid,
            subject=campaign.model.name,
            kernel=report.kernel,
            switches=Switches.of(kernel) if isinstance(kernel, Kernel) else Switches("fixed"),
            choices=failure.choices,
            verdict=result.verdict,
            invariant=result.invariant,
            message=result.message,
            steps=result.steps,
            digest=digest,
        )
        return save_order(order, self.root / self.options[FAILURES])

    def story(self, campaign: Campaign, report: Report, seed: int, file: Path) -> str:
        """What broke, in which order, and what to type next."""
        failure = report.failure
        assert failure is not None
        log = log_in(campaign, failure.choices, strategy=report.strategy, seed=seed)
        explanation = explained(log, failure.accesses, ROWS)
        facts = ["", *("  " + fact for fact in explanation.facts)] if explanation.facts else []
        source = f" (seed {seed})" if self.recorded(campaign.model) is None else ", as recorded"
        told = [
            f"{report.invariant or report.verdict} on {report.kernel}: {came_to(report)}{source}",
            *("  " + line for line in report.message.splitlines()),
            "",
            *lines(explanation.table),
            *facts,
            "",
            "run this order again:",
            f"  pytest {shlex.quote(self.node())} --tcemu-replay={shlex.quote(relative(file, self.folder))}",
        ]
        return "\n".join(told + self.logged(log, file))

    def logged(self, log: Log, file: Path) -> list[str]:
        """Keep the log of a failing order where logs are wanted, and say how to look at it."""
        if self.options[LOGS] is None:
            return []
        path = self.folder / self.options[LOGS] / file.with_suffix(".jsonl").name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_log(path, log)
        except (OSError, ProgramError) as problem:
            return [f"its log is not kept: {problem}"]
        kept, page = (shlex.quote(relative(file, self.folder)) for file in (path, path.with_suffix(".html")))
        return ["look at it:", f"  tcemu draw {kept} -o {page}"]

    def node(self) -> str:
        """The test as one types it here."""
        _, colons, inside = self.item.nodeid.partition("::")
        return relative(self.item.path, self.folder) + colons + inside

    @property
    def root(self) -> Path:
        """What paths in files are relative to."""
        return self.item.config.rootpath

    @property
    def folder(self) -> Path:
        """Where pytest was called."""
        return self.item.config.invocation_params.dir


def relative(path: Path, folder: Path) -> str:
    """A path as it is written from a folder."""
    return os.path.relpath(path, folder)


def came_to(report: Report) -> str:
    """How far a search came."""
    orders = "1 order was" if report.schedules == 1 else f"{report.schedules} orders were"
    if report.failure is not None:
        many = "preemption" if report.preemptions == 1 else "preemptions"
        return f"order {report.schedules_to_first_failure}, {report.preemptions} {many}"
    return f"{orders} ok" + (", and there are no others" if report.complete else "")


def replayed(campaign: Campaign, order: FailingOrder) -> Report:
    """Run a recorded order again, exactly.

    Raises:
        ReplayDivergence: it no longer fits, or comes to something else.
    """
    chooser = Replay(order.choices)
    result, digest = campaign.recorded(chooser)
    different = order.differs(result, digest)
    if different:
        raise ReplayDivergence(chooser.at, "the same end", different)
    chooser.finished()
    campaign.orders, campaign.points = 1, result.steps
    report = campaign.report()
    found = structs.replace(
        report, verdict=result.verdict, invariant=result.invariant, message=result.message
    )
    return structs.replace(
        found, failure=result, preemptions=result.preemptions, schedules_to_first_failure=1
    )


__all__ = ["Explorer"]
