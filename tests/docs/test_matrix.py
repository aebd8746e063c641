"""The verdict matrix says what the project promises, and finds its way into pages."""

from __future__ import annotations

import pytest

from actors.cli.subjects import demonstrations
from actors.explore.scenarios import builtin_names
from actors.kernel.generations import GENERATIONS
from docs.generate import matrix
from docs.generate.matrix import END, START, Cell, Hunt, Matrix, Sight

COMPLETE_CELLS = 30


@pytest.fixture(scope="module")
def found() -> Matrix:
    """What was searched last."""
    return matrix.loaded()


def test_every_cell_is_there(found: Matrix) -> None:
    pairs = {(cell.program, cell.kernel) for cell in found.cells}
    assert pairs == {(program, kernel) for program in builtin_names() for kernel in GENERATIONS}


def test_the_mended_kernel_passes_everything(found: Matrix) -> None:
    assert {cell.found for cell in found.cells if cell.kernel == "fixed"} == {"ok"}


def test_enough_is_covered_completely(found: Matrix) -> None:
    assert sum(cell.complete for cell in found.cells) >= COMPLETE_CELLS


def test_the_default_finds_every_defect(found: Matrix) -> None:
    hunts = {hunt.defect: hunt.orders for hunt in found.hunts if hunt.strategy == "portfolio"}
    assert hunts.keys() == demonstrations().keys()
    assert [defect for defect, orders in hunts.items() if orders is None] == []


SMALL = Matrix(
    (
        Cell("a", "v4.9", "J-Q1", 3, known_as="x"),
        Cell("a", "fixed", "ok", 1204, complete=True, noted=("J-A1",)),
    ),
    (Hunt("lookup-uaf", "dpor", 5), Hunt("lookup-uaf", "random"), Hunt("map-remove-race", "dpor", 7)),
    (
        Sight("v4.9", "lookup-uaf", "J-K2", True, ("map-remove-race",)),
        Sight("v4.9", "map-remove-race", "ok", False),
        Sight("v6.12", "v1-disable-live-tces", "ok", False, kept_by="v1-refused-on-ioda2"),
        Sight("v6.12", "lookup-uaf", "J-K2", True),
    ),
)


def test_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "loaded", lambda: SMALL)
    assert "| `a` | J-Q1 (3) |" in matrix.scenario_matrix("")
    assert "ok* (all 1,204)" in matrix.scenario_matrix("")
    assert f"> {matrix.MOST}" in matrix.hunt_matrix("")
    assert "| `v4.9` | 2 | 0 | 1 | 1 |" in matrix.sight_matrix("")
    assert "| `v6.12` | 2 | 1 | 0 | 1 |" in matrix.sight_matrix("")
    words = matrix.deviations("")
    assert "`lookup-uaf` shows when `map-remove-race` is mended" in words
    assert "`map-remove-race` does not show: nothing breaks in its program: `v4.9`." in words
    assert "`v1-disable-live-tces` cannot show: a v1 container refuses groups that can make" in words


def test_the_readme_gets_a_short_version() -> None:
    page = f"before\n{START}\nstale\n{END}\nafter\n"
    fresh = matrix.written(page, matrix.short(SMALL))
    assert "stale" not in fresh
    assert "| `v4.9` | 1 of 1 | 0 | 1 of 2 |" in fresh
    assert "| `dpor` | 2 of 2 | 6 | 7 |" in fresh
    assert fresh.startswith("before\n")
    assert fresh.endswith(f"{END}\nafter\n")
    assert matrix.written("no markers\n", "x") == "no markers\n"
