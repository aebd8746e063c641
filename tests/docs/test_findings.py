"""The programs of docs/findings.md show what it says, on the kernels that it names, and on no other."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from actors.explore import explore
from actors.program import Program, parse_program

PAGE = Path(__file__).parents[2] / "docs" / "findings.md"
PROGRAMS = {
    program.name: program
    for text in re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    for program in [parse_program(json.loads(text))]
}
MENDED_ELSEWHERE = ("default-window-double-create", "tce-view-race")
"""Defects of these kernels that the program of two first MAPs shows as well, and sooner."""


def found(program: Program, kernel: str, mended: tuple[str, ...] = ()) -> set[str]:
    """What a search of the program comes to, with some defects mended."""
    without = [slug for slug in (*MENDED_ELSEWHERE, *mended) if kernel != "fixed"]
    plain = Program(program.name, without=tuple(without), setup=program.setup, threads=program.threads)
    report = explore(plain, kernel, schedules=400)
    return {report.invariant, *(finding.invariant for finding in report.findings)} - {""}


@pytest.mark.parametrize(
    ("name", "kernel", "invariants"),
    [
        ("two-first-maps", "v4.10-seed", {"J-R3"}),
        ("two-first-maps", "fixed", set()),
        ("refused-map-keeps-view", "v4.10-seed", {"J-A3"}),
        ("refused-map-keeps-view", "fixed", set()),
        ("unmapped-but-counted", "v6.12", {"J-R2"}),
        ("unmapped-but-counted", "v4.19", set()),
        ("unmapped-but-counted", "fixed", set()),
    ],
)
def test_the_programs_show_what_the_page_says(name: str, kernel: str, invariants: set[str]) -> None:
    assert found(PROGRAMS[name], kernel) == invariants


def test_what_the_page_calls_view_made_twice_is_that() -> None:
    program = PROGRAMS["two-first-maps"]
    assert found(program, "v4.10-seed", ("view-made-twice",)) == set()
    with_view = ("view-made-by-first-map",)
    safe = Program(program.name, with_=with_view, setup=program.setup, threads=program.threads)
    report = explore(safe, "fixed", schedules=400, linear=True)
    assert (report.verdict, report.findings) == ("ok", ()), report.message
