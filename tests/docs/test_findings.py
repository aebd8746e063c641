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


def found(program: Program, kernel: str) -> set[str]:
    """What a search of the program comes to."""
    without = [slug for slug in MENDED_ELSEWHERE if kernel != "fixed"]
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
    ],
)
def test_the_programs_show_what_the_page_says(name: str, kernel: str, invariants: set[str]) -> None:
    assert found(PROGRAMS[name], kernel) == invariants
