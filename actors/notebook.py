"""Exploring in a notebook: what a search came to shows itself as the timeline of the order that matters.

Everything here is synchronous, so it works in a cell, whatever loop the notebook itself runs::

    from actors.notebook import explore

    explore(scenario, "v4.9")
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Unpack

from actors.draw import Undrawable, draw
from actors.explore.explore import Campaign, How, campaign_on
from actors.explore.logged import log_in
from actors.explore.result import Choice, Report
from actors.explore.run import CALM, Model
from actors.explore.scenarios import builtin
from actors.explore.strategies import Strategy
from actors.kernel.composition import Kernel
from actors.machine import Scenario
from actors.program import Program
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
            return f"<p><b>{escape(self.headline)}</b></p>{frame(self.log)}"
        except Undrawable:
            return f"<pre>{escape(repr(self))}</pre>"


def frame(log: Log) -> str:
    """The page of the timeline, in a frame of its own.

    Raises:
        Undrawable: an extra is missing, or there is nothing to draw.
    """
    style = f"width: 100%; height: {HEIGHT_PIXELS}px; border: 1px solid #8888"
    return f'<iframe sandbox="allow-scripts" style="{style}" srcdoc="{escape(draw(log))}"></iframe>'


def html_of(report: Report) -> str:
    """A report as a table, and below it the timeline of its failing order, if that can be run again."""
    rows = "".join(f"<tr><th>{name}</th><td>{escape(text)}</td></tr>" for name, text in facts(report))
    table = f'<table style="text-align: left">{rows}</table>'
    if report.failure is None or report.campaign is None:
        return table
    log = log_in(report.campaign, report.failure.choices, strategy=report.strategy)
    try:
        return table + frame(log)
    except Undrawable:
        return table + f"<pre>{escape(chr(10).join(lines(interleaving(log.events, report.message))))}</pre>"


def facts(report: Report) -> Iterator[tuple[str, str]]:
    """What a report says, each fact with its name."""
    yield "program", f"{report.program} on {report.kernel}"
    covered = ", all that there are" if report.complete else ""
    yield "orders", f"{report.schedules:,} by {report.strategy}{covered}"
    yield "result", report.invariant or report.verdict
    if report.verdict != "ok":
        yield "what", report.message
        yield "found in order", f"{report.schedules_to_first_failure or 0:,}"
        yield "preemptions", f"{report.preemptions}"
    if report.known_as:
        yield "known as", report.known_as
    for finding in report.findings:
        yield "noted", f"{finding.invariant}: {finding.message}"


def explore(
    subject: Program | Scenario | Model | str,
    kernel: Kernel | str = "fixed",
    strategy: Strategy | str | None = None,
    schedules: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    **how: Unpack[How],
) -> Exploration:
    """Run a program in many orders, as :func:`actors.explore.explore` does, and keep the one that matters.

    The subject may also be the name of a built-in program.
    """
    found = builtin(subject) if isinstance(subject, str) else subject
    campaign = campaign_on(found, kernel, strategy, seed, **how)
    report = campaign.run(schedules, seconds)
    choices = report.failure.choices if report.failure is not None else calm(campaign)
    return Exploration(report, log_in(campaign, choices, strategy=report.strategy, seed=seed))


def calm(campaign: Campaign) -> tuple[Choice, ...]:
    """The decisions of the calm order."""
    return campaign.recorded(CALM)[0].choices


__all__ = ["Exploration", "explore"]
