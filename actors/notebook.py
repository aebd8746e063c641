"""Exploring in a notebook: what a search came to shows itself as the timeline of the order that matters.

Everything here is synchronous, so it works in a cell, whatever loop the notebook itself runs::

    from actors.notebook import explore

    explore(scenario, "v4.9")
"""

from __future__ import annotations

from html import escape
from typing import Any

from actors.draw import Undrawable, draw
from actors.explore.explore import Campaign, prepare
from actors.explore.faults import FaultMaker
from actors.explore.logged import end_of, watched
from actors.explore.result import Choice, Report
from actors.explore.run import CALM, Model
from actors.explore.scenarios import builtin
from actors.explore.strategies import find_strategy
from actors.kernel.composition import Kernel
from actors.machine import Scenario
from actors.program import Program
from actors.trace.header import header
from actors.trace.interleaving import interleaving, lines
from actors.trace.jsonl import Log

HEIGHT_PIXELS = 720


class Exploration:
    """What a search came to.

    Attributes:
        report: in numbers and words.
        log: everything that happened in the failing order; in the calm one when none fails.
    """

    def __init__(self, report: Report, log: Log) -> None:
        self.report = report
        self.log = log

    @property
    def headline(self) -> str:
        """What came out, in a line."""
        report = self.report
        if report.verdict == "ok":
            covered = ", and there are no others" if report.complete else ""
            return f"{report.program} on {report.kernel}: {report.schedules:,} orders are ok{covered}"
        what = report.invariant or report.verdict
        first = f"in order {report.schedules_to_first_failure:,}, {report.preemptions} preemptions"
        return f"{report.program} on {report.kernel}: {what} {first}: {report.message}"

    def __repr__(self) -> str:
        """The headline and the steps that matter, for who cannot see pictures."""
        return "\n".join([self.headline, "", *lines(interleaving(self.log.events, self.report.message))])

    def _repr_html_(self) -> str:
        """The headline and the page of the timeline, in a frame of its own."""
        try:
            page = draw(self.log)
        except Undrawable:
            return f"<pre>{escape(repr(self))}</pre>"
        style = f"width: 100%; height: {HEIGHT_PIXELS}px; border: 1px solid #8888"
        frame = f'<iframe sandbox="allow-scripts" style="{style}" srcdoc="{escape(page)}"></iframe>'
        return f"<p><b>{escape(self.headline)}</b></p>{frame}"


def explore(
    subject: Program | Scenario | Model | str,
    kernel: Kernel | str = "fixed",
    strategy: str = "portfolio",
    schedules: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    *,
    faults: FaultMaker | None = None,
    **options: Any,
) -> Exploration:
    """Run a program in many orders, as :func:`actors.explore.explore` does, and keep the one that matters.

    Args:
        subject: a program, the name of a built-in one, or an async function of a machine.
        kernel: what it runs on.
        strategy: who chooses the orders.
        schedules: the most orders to run.
        seconds: time after which no other order is begun.
        seed: the same seed, the same orders.
        faults: which failure points fail.
        options: for a scenario, the ``spec`` of its machine.
    """
    model = prepare(builtin(subject) if isinstance(subject, str) else subject, kernel, **options)
    campaign = Campaign(model, find_strategy(strategy, seed), faults)
    report = campaign.run(schedules, seconds)
    return Exploration(report, log_of(campaign, report, seed))


def log_of(campaign: Campaign, report: Report, seed: int) -> Log:
    """Run the order that matters again, with everything recorded."""
    model: Any = campaign.model
    choices = report.failure.choices if report.failure is not None else calm(campaign)
    result, events = watched(campaign, choices)
    program = getattr(model, "program", None)
    head = header(
        model.kernel, name=model.name, program=program if program and program.setup else None,
        choices=choices, strategy=report.strategy, seed=seed,
    )  # fmt: skip
    return Log(head, events, end_of(result, len(events)))


def calm(campaign: Campaign) -> tuple[Choice, ...]:
    """The decisions of the calm order."""
    return campaign.recorded(CALM)[0].choices


__all__ = ["Exploration", "explore"]
