"""Failures are told once a kind, the simplest of each, and fit the console."""

from __future__ import annotations

import pytest

from actors.cli.hunt import BLOCKS, kinds_of, print_failures, print_noted, print_refused
from actors.explore import Report
from actors.explore.result import Explanation, Finding
from actors.trace.interleaving import Row, Table


def report(program: str, message: str, **fields: object) -> Report:
    """A failing report."""
    usual = {"kernel": "v6.12", "strategy": "dpor", "schedules": 1, "complete": False, "points": 10,
             "verdict": "violation", "invariant": "J-K2", "preemptions": 1}  # fmt: skip
    return Report(program=program, message=message, **usual | fields)  # type: ignore[arg-type]


def test_the_same_cause_is_one_kind_and_the_simplest_leads() -> None:
    failing = [
        report("a", "use after free of table:0 in x", known_as="map-remove-race", preemptions=2),
        report("b", "16 pages of region:0 are pinned", invariant="J-Q1"),
        report("c", "use after free of table:7 in y", known_as="map-remove-race"),
        report("fine", "", verdict="ok", invariant=""),
        report("d", "1,024 pages of region:3 are pinned", invariant="J-Q1", preemptions=0),
        report("e", "16 pages of region:0 are pinned", invariant="J-Q2"),
    ]
    kinds = [[each.program for each in kind] for kind in kinds_of(failing)]
    assert kinds == [["c", "a"], ["d", "b"], ["e"]]


def test_many_kinds_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    kinds = [report(f"p{n}", f"message {chr(97 + n)}", failure_file=f"f{n}.json") for n in range(BLOCKS + 3)]
    print_failures(kinds)
    out = capsys.readouterr().out
    assert "3 more kinds of failure; tcemu replay tells each:" in out
    assert [f"tcemu replay f{n}.json" in out for n in range(BLOCKS + 3)] == [True] * (BLOCKS + 3)
    assert f"message {chr(97 + BLOCKS)}" not in out


def test_a_block_tells_all_and_fits(capsys: pytest.CaptureFixture[str]) -> None:
    rows = (
        Row(4, "mapper", "calls MAP_DMA", "call", 1),
        Row(9, "a-very-long-name-of-a-thread" * 3, "x" * 200, "meet", 0),
    )
    table = Table(tuple(row.thread for row in rows), rows, 0, (9,))
    facts = ("step 4: mapper reads tables[0], holds no lock", "step 9: closer drops the last reference " * 4)
    told = report(
        "map-vs-remove", "use after free " * 20, known_as="map-remove-race", failure_file="f.json",
        explanation=Explanation(table, facts),
    )  # fmt: skip
    print_failures([told, report("other", "use after free", known_as="map-remove-race", preemptions=3)])
    out = capsys.readouterr().out.splitlines()
    assert max(map(len, out)) <= 100
    text = " ".join(" ".join(out).split())
    parts = (
        "map-vs-remove on v6.12: J-K2", "calls MAP_DMA", "9*", "holds no lock", "known as map-remove-race",
        "tcemu defects show map-remove-race", "also: other on v6.12", "tcemu replay f.json",
    )  # fmt: skip
    for part in parts:
        assert part in text


def test_what_is_noted_is_told_once_a_kind(capsys: pytest.CaptureFixture[str]) -> None:
    noted = (Finding("J-M1", "x" * 500), Finding("race", "nothing orders a: b"))
    fine = {"verdict": "ok", "invariant": "", "findings": noted}
    print_noted([report("a", "", **fine), report("b", "", **fine), report("c", "broken", findings=noted)])
    out = " ".join(capsys.readouterr().out.split())
    assert out.startswith("noted J-M1: xxx") and out.endswith("(a on v6.12 and 1 other row)")
    assert "race" not in out and len(out) < 300


def test_a_setup_that_fails_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    notes = ("setup[3] setiommu returned -EINVAL",)
    twice = [report("a", "", notes=notes, kernel=kernel) for kernel in ("v6.12", "fixed")]
    print_refused([*twice, report("b", "")])
    out = capsys.readouterr().out.strip()
    assert out == "a on v6.12, fixed: setup[3] setiommu returned -EINVAL"
