"""What a campaign came to, for people, for JSON and for pasting into a test."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec

from actors.fuzz.coverage import by_kind, never_reached
from actors.fuzz.triage import Finding
from actors.program import write_program

if TYPE_CHECKING:
    from actors.fuzz.campaign import FuzzCampaign


class FindingReport(msgspec.Struct, frozen=True, kw_only=True):
    """One distinct failure of a campaign.

    Attributes:
        id: its name in the corpus; ``tcemu corpus show ID`` tells of it.
        label: ``known: slug``, or ``NEW``.
        known: the defects behind it.
        verdict, invariant, message: what came out.
        hits: programs that have shown it.
        programs, seconds: run when it was found, all sittings together.
        stands: whether it failed when it was last run.
        replayable: whether the corpus has a failing order of it.
    """

    id: str
    label: str
    known: tuple[str, ...]
    verdict: str
    invariant: str
    message: str
    hits: int
    programs: int
    seconds: float
    stands: bool
    replayable: bool


class FuzzReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a campaign came to so far; the fields of ``tcemu fuzz --json``.

    Attributes:
        kernel, seed: what it was.
        corpus: the file.
        programs, orders, seconds: in all sittings.
        sitting: the same three for this one.
        features: covered, by kind.
        findings: distinct failures, oldest first.
        off: defects that were found often and switched off.
        again: failures of earlier sittings that failed again at the start.
        gone: those that did not.
        never: what of the documented answers and failure points was never reached.
        curve: ``(programs, orders, seconds, features)`` batch by batch.
        deaths: workers that have died.
        lost: work without an outcome, with the reasons.
        interrupted: whether Ctrl-C ended it.
        pending: failures of the last batch that nobody has looked into yet.
    """

    kernel: str
    seed: int
    corpus: str
    programs: int
    orders: int
    seconds: float
    sitting: tuple[int, int, float]
    features: dict[str, int]
    findings: tuple[FindingReport, ...]
    off: tuple[str, ...]
    again: tuple[str, ...]
    gone: tuple[str, ...]
    never: tuple[str, ...]
    curve: tuple[tuple[int, int, float, int], ...]
    deaths: int
    lost: tuple[str, ...]
    interrupted: bool
    pending: int = 0

    @property
    def found(self) -> bool:
        """Whether anything stands that fails."""
        return any(finding.stands for finding in self.findings)

    @property
    def new(self) -> tuple[FindingReport, ...]:
        """The findings that no known defect explains."""
        return tuple(finding for finding in self.findings if not finding.known and finding.stands)

    @property
    def mistakes(self) -> tuple[FindingReport, ...]:
        """What the emulator itself stumbled over."""
        return tuple(finding for finding in self.findings if finding.verdict == "mistake")


def report_of(campaign: FuzzCampaign, interrupted: bool) -> FuzzReport:
    """The report of a campaign as it stands on disk."""
    row, began, state = campaign.row, campaign.began, campaign.state
    findings = []
    for kept in campaign.corpus.failures(row.kernel):
        programs, seconds = state.found_at.get(kept.signature, (kept.programs, kept.seconds))
        finding = kept.finding
        findings.append(
            FindingReport(
                id=kept.id,
                label=finding.label,
                known=finding.known,
                verdict=finding.verdict,
                invariant=finding.invariant,
                message=finding.message,
                hits=kept.hits,
                programs=programs,
                seconds=seconds,
                stands=kept.stands,
                replayable=finding.failure is not None,
            )
        )
    return FuzzReport(
        kernel=row.kernel,
        seed=row.seed,
        corpus=str(campaign.corpus.path),
        programs=row.programs,
        orders=row.orders,
        seconds=row.seconds,
        sitting=(row.programs - began.programs, row.orders - began.orders, round(campaign.elapsed(), 3)),
        features=by_kind(campaign.covered),
        findings=tuple(findings),
        off=tuple(state.off),
        again=tuple(campaign.stood),
        gone=tuple(campaign.gone),
        never=tuple(never_reached(campaign.covered)),
        curve=tuple(campaign.corpus.curve(row.id)),
        deaths=campaign.crew.deaths,
        lost=tuple(campaign.lost),
        interrupted=interrupted,
        pending=len(state.pending),
    )


# -- a test to paste ---------------------------------------------------------------------------

TEST = '''\
"""{about}"""

import json

from actors.check import Oracles
from actors.explore import explore
from actors.explore.faults import FailNth
from actors.program import parse_program

PROGRAM = json.loads(r"""
{program}
""")


def test_{name}() -> None:
    report = explore(
        parse_program(PROGRAM),
        {kernel!r},
        schedules=500,
        oracles={oracles},
        faults={faults},
    )
    assert report.verdict == "ok", report.message
'''


def regression_test(kernel: str, finding: Finding) -> str:
    """A pytest file that fails as long as the failure is there; of a known defect, on the mended kernel."""
    failure = finding.failure
    fatal = failure.fatal if failure is not None else ""
    nth = failure.fail_nth if failure is not None else None
    what = finding.invariant or finding.verdict
    return TEST.format(
        about=f"{what} on {kernel}, {finding.label}: found by tcemu fuzz.",
        program=json.dumps(write_program(finding.program), indent=1),
        name=re.sub(r"\W+", "_", "_".join(finding.known) or f"new_{what}").strip("_").lower(),
        kernel="fixed" if finding.known else kernel,
        oracles=f"lambda machine: Oracles(machine, fatal={fatal!r})" if fatal else "Oracles",
        faults="None" if nth is None else f"FailNth({nth})",
    )


def plain_values(report: FuzzReport) -> dict[str, Any]:
    """The report as JSON values."""
    values: dict[str, Any] = msgspec.to_builtins(report)
    return values


__all__ = ["FindingReport", "FuzzReport", "plain_values", "regression_test", "report_of"]
