"""What a search of any kind came to, as the pages and files of a pipeline need it: one case a row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from actors.check.invariants import INVARIANTS, VERDICTS
from actors.trace.interleaving import Row, lines

if TYPE_CHECKING:
    from actors.explore.result import Report
    from actors.fuzz.report import FuzzReport

OTHERS = {
    "expectation": "a step returns what its program expects",
    "linearizability": "some sequential order explains all answers",
    "mistake": "the emulator itself does not stumble",
}
"""What else may not be so, besides invariants and what the kernel complains of itself."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a search, or one finding of a campaign.

    Attributes:
        name: what was searched.
        kernel: on which kernel.
        rule: what was broken, an invariant or a verdict; "" when nothing was.
        message: what exactly, for people.
        known_as: the defects behind it, as far as they are known ones.
        baseline: ``new``, ``unchanged`` or ``absent``, compared with what was found before.
        expected: whether the program says that this comes out.
        orders: orders that were run.
        covered: whether these are all there are.
        seconds: time they took.
        file: where the failing order is kept; "" for nowhere.
        command: what runs or shows it again; "" for nothing.
        facts: who raced, or holds what.
        table: the interleaving as text.
        steps: the same by step.
    """

    name: str
    kernel: str
    rule: str = ""
    message: str = ""
    known_as: tuple[str, ...] = ()
    baseline: str = "new"
    expected: bool = False
    orders: int = 0
    covered: bool = False
    seconds: float = 0.0
    file: str = ""
    command: str = ""
    facts: tuple[str, ...] = ()
    table: tuple[str, ...] = ()
    steps: tuple[Row, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether something is broken."""
        return self.rule != "" and self.baseline != "absent"

    @property
    def known(self) -> str:
        """The defects behind it, in words."""
        return f"known: {', '.join(self.known_as)}" if self.known_as else ""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """All cases of one search.

    Attributes:
        title: what was done.
        told: what it came to, in a sentence.
        cases: row by row.
    """

    title: str
    told: str
    cases: tuple[Case, ...]

    @property
    def failures(self) -> tuple[Case, ...]:
        """The cases in which something is broken."""
        return tuple(case for case in self.cases if case.failed)


def of_stress(reports: Iterable[tuple[Report, str]]) -> Summary:
    """The cases of ``tcemu stress``: reports, each with what its program expects."""
    cases = tuple(of_report(report, expected) for report, expected in reports)
    orders, failed = sum(case.orders for case in cases), sum(case.failed for case in cases)
    covered = sum(case.covered for case in cases)
    told = f"{many(len(cases), 'row')}, {many(orders, 'order')}"
    told += f": {covered:,} covered completely, {failed:,} broken."
    return Summary(title="tcemu stress", told=told, cases=cases)


def of_report(report: Report, expected: str = "") -> Case:
    """The case of one report."""
    why = report.explanation
    broken = report.verdict != "ok"
    rule, message = (report.invariant or report.verdict, report.message) if broken else ("", "")
    if not broken and report.complete and expected not in ("", "ok", *(f.invariant for f in report.findings)):
        rule, message = "expectation", f"expected {expected}, but no order of all breaks anything"
    return Case(
        name=report.program,
        kernel=report.kernel,
        rule=rule,
        message=message,
        known_as=(report.known_as,) if report.known_as else (),
        expected=broken and expected != "" and expected in (report.verdict, report.invariant),
        orders=report.schedules,
        covered=report.complete,
        seconds=report.seconds,
        file=report.failure_file or "",
        command=f"tcemu replay {report.failure_file}" if report.failure_file else "",
        facts=why.facts if why is not None else (),
        table=tuple(lines(why.table)) if why is not None else (),
        steps=why.table.rows if why is not None else (),
    )


def of_fuzz(report: FuzzReport) -> Summary:
    """The cases of ``tcemu fuzz``: its findings; without any, the campaign itself."""
    before = report.programs - report.sitting[0]
    name = f"fuzz seed {report.seed}"
    cases = tuple(
        Case(
            name=f"{name} {finding.id}",
            kernel=report.kernel,
            rule=finding.invariant or finding.verdict,
            message=finding.message,
            known_as=finding.known,
            baseline="absent" if not finding.stands else "unchanged" if finding.programs <= before else "new",
            seconds=finding.seconds,
            file=report.corpus,
            command=f"tcemu corpus show {finding.id} --corpus {report.corpus}",
        )
        for finding in report.findings
    )
    whole = Case(name=name, kernel=report.kernel, orders=report.sitting[1], seconds=report.sitting[2])
    failed = sum(case.failed for case in cases)
    new = sum(case.baseline == "new" for case in cases)
    told = (
        f"{many(report.sitting[0], 'program')} and {many(report.sitting[1], 'order')} in this sitting,"
        f" {many(report.programs, 'program')} in all; {many(failed, 'failure')}, {new:,} of them new."
    )
    return Summary(title=f"tcemu fuzz on {report.kernel}", told=told, cases=cases or (whole,))


def sentence_of(rule: str) -> str:
    """What an invariant demands, or what a verdict means."""
    if rule in INVARIANTS:
        return INVARIANTS[rule].sentence
    return OTHERS.get(rule) or VERDICTS.get(rule, rule)


def many(count: int, noun: str) -> str:
    """``1 row``, ``2 rows``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


__all__ = ["Case", "Summary", "many", "of_fuzz", "of_report", "of_stress", "sentence_of"]
