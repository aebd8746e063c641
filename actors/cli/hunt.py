"""A failure on the console: what broke, why, who raced or holds what, whether it is known, what to type."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import click

from actors.cli.tables import plural, print_command, print_line, width
from actors.explore.result import Explanation, Finding, Report
from actors.kernel.catalogue import find_piece
from actors.trace.interleaving import lines
from actors.trace.text import clipped

BLOCKS = 6
"""Failures that are told at length; others get two lines each."""

NUMBERS = frozenset("0123456789,")

NOTE = 200
"""Characters of what is noted."""

NAMES = 3
"""Rows that are named of those with the same failure."""


def print_failures(reports: Sequence[Report]) -> None:
    """Tell each kind of failure once, at its simplest, and which rows have it."""
    kinds = kinds_of(reports)
    for kind in kinds[:BLOCKS]:
        print_line()
        print_failure(kind[0], kind[1:])
    if len(kinds) > BLOCKS:
        print_line()
        print_line(
            f"{plural(len(kinds) - BLOCKS, 'more kind')} of failure; tcemu replay tells each:", bold=True
        )
        for kind in kinds[BLOCKS:]:
            print_line(f"{title(kind[0])}{known_words(kind[0])}{also(kind[1:])}", 2)
            print_command(f"tcemu replay {kind[0].failure_file}", 4)


def print_races(reports: Sequence[Report]) -> None:
    """Tell each data race once, and which rows have it."""
    races: dict[str, list[tuple[Report, Finding]]] = {}
    for report in reports:
        for finding in report.findings:
            if finding.invariant == "race":
                races.setdefault(finding.kind, []).append((report, finding))
    for (report, finding), *others in races.values():
        print_line()
        print_line(
            f"race in {report.program} on {report.kernel}{also([other for other, _ in others])}", bold=True
        )
        print_line(finding.message, 2)


def print_noted(reports: Sequence[Report]) -> None:
    """Say once of each kind of breach that rows only note what it is, and which rows have it."""
    noted: dict[str, list[tuple[Report, Finding]]] = {}
    for report in reports:
        for finding in report.findings if report.verdict == "ok" else ():
            if finding.invariant != "race":
                noted.setdefault(finding.kind, []).append((report, finding))
    if noted:
        print_line()
    for kind, ((report, finding), *others) in noted.items():
        rest = f" and {plural(len(others), 'other row')}" if others else ""
        print_line(
            f"noted {kind}: {clipped(finding.message, NOTE)} ({report.program} on {report.kernel}{rest})"
        )


def print_refused(reports: Sequence[Report]) -> None:
    """Say which setups do not what they say: each once, and in which rows."""
    refused: dict[tuple[str, str], list[str]] = {}
    for report in reports:
        for note in report.notes:
            refused.setdefault((report.program, note), []).append(report.kernel)
    if refused:
        print_line()
    for (program, note), kernels in refused.items():
        print_line(f"{program} on {', '.join(kernels)}: {note}", colour="yellow")


def kinds_of(reports: Sequence[Report]) -> list[list[Report]]:
    """The failing reports by kind, each kind's simplest first; kinds in order of appearance."""
    failing = [report for report in reports if report.verdict != "ok"]
    places = {kind_of(report): place for place, report in reversed(list(enumerate(failing)))}
    ordered = sorted(failing, key=lambda report: (places[kind_of(report)], simplicity(report)))
    return [list(group) for _, group in groupby(ordered, kind_of)]


def kind_of(report: Report) -> tuple[str, str]:
    """What makes two failures one kind: what broke, and why, or else the sentence without its numbers."""
    sentence = "".join(c for c in report.message.partition(" of ")[0] if c not in NUMBERS)
    return named(report), report.known_as or sentence


def simplicity(report: Report) -> tuple[int, int, int]:
    """The fewer preemptions, threads and steps, the simpler."""
    table = report.explanation.table if report.explanation is not None else None
    return report.preemptions or 0, len(table.threads) if table else 0, report.points


def named(report: Report) -> str:
    """What broke: the invariant, else the verdict."""
    return report.invariant or report.verdict


def title(report: Report) -> str:
    """What broke where."""
    return f"{report.program} on {report.kernel}: {named(report)}"


def known_words(report: Report) -> str:
    """The known defect behind a failure, in a few words."""
    return f", {report.known_as}" if report.known_as else ""


def also(others: Sequence[Report]) -> str:
    """Which other rows have the same failure."""
    if not others:
        return ""
    names = [f"{report.program} on {report.kernel}" for report in others[:NAMES]]
    if len(others) > NAMES:
        names.append(f"{len(others) - NAMES} more")
    return f"; also {', '.join(names)}"


def print_failure(report: Report, others: Sequence[Report] = ()) -> None:
    """Tell one failure, from what broke to what to type next."""
    print_line(title(report), bold=True)
    print_line(report.message, 2)
    if report.explanation is not None:
        print_explanation(report.explanation)
    print_cause(report.known_as)
    if others:
        print_line(f"also: {also(others).removeprefix('; also ')}", 2)
    if report.failure_file:
        print_command(f"tcemu replay {report.failure_file}")


def print_explanation(explanation: Explanation) -> None:
    """Print the steps that matter, and the two accesses that race or who holds what."""
    print_line()
    for line in lines(explanation.table, width() - 2):
        click.echo("  " + line)
    print_line()
    for fact in explanation.facts:
        print_line(fact, 2)


def print_cause(slug: str | None) -> None:
    """Name the known defect behind a failure, with its commit."""
    if slug is None:
        return
    piece = find_piece(slug)
    number = f" (G {piece.number})" if piece.number else ""
    commit = f"; {piece.commit}" if piece.commit else ""
    print_line(f"known as {slug}{number}: {piece.title}{commit}", 2)
    print_command(f"tcemu defects show {slug}")


__all__ = [
    "named", "print_cause", "print_explanation", "print_failure", "print_failures", "print_noted",
    "print_races", "print_refused",
]  # fmt: skip
