from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.harness import Figure, at_least, at_most, result
from tests.benchmarks.report import END, START, load, markdown, save, write_readme

PAIRS = [(10.0, 4.0), (12.0, 6.0), (90.0, 45.0)]
MET = result(Figure("call", "µs", "trip", at_most(2), lambda: PAIRS))
MISSED = result(Figure("orders", "orders/s", "", at_least(1000, "value"), lambda: [(999.0, None)]))
TOLD = result(Figure("told", "s", "", None, lambda: [(1.0, None)]))


def test_medians_are_taken_of_pairs_and_held_against_the_target() -> None:
    assert (MET.value, MET.baseline, MET.ratio, MET.verdict) == (12.0, 6.0, 2.0, "MET")
    assert (MISSED.ratio, MISSED.target, MISSED.verdict) == (None, "at least 1000", "MISSED")
    assert (TOLD.target, TOLD.verdict) == ("", "")


def test_figures_survive_the_way_to_a_file_and_back(tmp_path: Path) -> None:
    save([MET, MISSED], tmp_path / "new" / "benchmarks.json")
    assert load(tmp_path / "new" / "benchmarks.json") == [MET, MISSED]


def test_the_table_goes_between_the_markers_of_the_readme(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{START}\nold\n{END}\nafter\n")
    write_readme([MET], readme)
    assert readme.read_text() == f"before\n{START}\n{markdown([MET])}\n{END}\nafter\n"
    assert "| call | 12 µs | 6 µs (trip) | 2 | at most 2 x the baseline | MET |" in readme.read_text()


def test_a_readme_without_markers_is_left_alone(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("nothing\n")
    with pytest.raises(SystemExit, match="expected a line"):
        write_readme([MET], readme)
    assert readme.read_text() == "nothing\n"
