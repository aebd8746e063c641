"""A row of the table: one campaign, or one for each kill and each failure point."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from actors.cli.clients import Client
from actors.cli.exits import BadInput
from actors.cli.subjects import demonstrations
from actors.cli.units import Search, Unit, run_unit
from actors.explore import load_failure, replay
from actors.explore.scenarios import builtin
from actors.kernel.catalogue import find_kernel
from actors.program import load_program

FIXED = find_kernel("fixed")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures are kept below the folder in which one works."""
    monkeypatch.chdir(tmp_path)


def test_a_search_goes_on_where_it_stopped() -> None:
    whole = run_unit(Unit(builtin("map-vs-remove"), FIXED, strategy="random", schedules=40))
    search = Search(Unit(builtin("map-vs-remove"), FIXED, strategy="random", schedules=40))
    turns = 0
    while search.go_on(0.0001):
        turns += 1
    assert turns > 5
    assert (search.orders, search.report().points) == (whole.schedules, whole.points) == (40, whole.points)


def test_each_failure_point_and_none() -> None:
    search = Search(Unit(builtin("map-vs-remove"), FIXED, strategy="random", schedules=2, fail_nth="all"))
    assert not search.parts[0].label
    assert search.parts[1].label == "with failure point 0, copy_from_user"
    assert not search.go_on(None)
    report = search.report()
    assert report.schedules == 2 * len(search.parts)
    assert report.places == (0, len(search.parts) - 1)


def test_parts_take_turns() -> None:
    search = Search(Unit(builtin("map-vs-remove"), FIXED, strategy="random", schedules=100, fail_nth="all"))
    seen = []
    for part in search.parts:
        go_on = part.go_on

        def noted(*args: Any, part: Any = part, go_on: Any = go_on) -> bool:
            seen.append(search.parts.index(part))
            return bool(go_on(*args))

        part.go_on = noted  # type: ignore[method-assign]
    search.go_on(None)
    assert seen[: len(search.parts)] == list(range(len(search.parts)))
    assert {part.campaign.orders for part in search.parts if part.campaign} == {100}


def test_each_process_is_killed() -> None:
    program = builtin("fork-then-parent-exits")
    search = Search(Unit(program, FIXED, strategy="random", schedules=3, kill="all"))
    assert [part.label for part in search.parts] == ["with a kill of actor 0", "with a kill of actor 1"]
    assert not search.go_on(None)
    assert (search.report().schedules, search.report().places) == (6, (0, 2))
    with pytest.raises(BadInput, match="has no process 7; it has 0, 1"):
        Search(Unit(program, FIXED, kill=7))


def test_one_fault_where_the_order_says() -> None:
    report = run_unit(Unit(builtin("map-vs-map-pending-window"), FIXED, schedules=300, fail=("any",)))
    plain = run_unit(Unit(builtin("map-vs-map-pending-window"), FIXED, schedules=300))
    assert report.verdict == plain.verdict == "ok"
    assert report.schedules > plain.schedules or not report.complete


@pytest.mark.parametrize("how", [{"fail_nth": "all"}, {"fail": ("pnv_alloc_tce_level.view",)}])
def test_a_fault_is_part_of_the_failure(how: dict[str, Any]) -> None:
    program = load_program(demonstrations()["v2-pua-null"])
    kernel = find_kernel("fixed", program.with_)
    assert run_unit(Unit(program, kernel, "fixed", schedules=50)).verdict == "ok"
    report = run_unit(Unit(program, kernel, "fixed", schedules=50, **how))
    assert (report.verdict, report.known_as) == ("oops", "v2-pua-null")
    assert report.failure_file is not None
    assert replay(load_failure(report.failure_file)).message in report.message


def test_a_client_is_killed_at_different_calls() -> None:
    search = Search(Unit(Client("qemu-levels-fatal"), FIXED, strategy="random", schedules=12))
    calls = [part.subject.calls for part in search.parts]  # type: ignore[union-attr]
    assert len(set(calls)) == len(calls) == 6
    assert not search.go_on(None)
    report = search.report()
    assert (report.program, report.schedules, report.complete) == ("qemu-levels-fatal", 12, False)


def test_what_failed_is_kept_explained_and_known() -> None:
    report = run_unit(Unit(builtin("map-vs-remove"), find_kernel("v6.12"), "v6.12", schedules=200))
    assert (report.invariant, report.known_as) == ("J-K2", "map-remove-race")
    assert report.explanation is not None
    assert len(report.explanation.facts) == 2
    assert report.failure_file is not None
    failure = load_failure(report.failure_file)
    assert failure.known_as == "map-remove-race"
    assert replay(failure).message == report.message


def test_several_defects_behind_one_failure() -> None:
    report = run_unit(Unit(builtin("exit-with-lazy-borrower"), find_kernel("v4.9"), "v4.9", schedules=50))
    assert (report.invariant, report.known_as) == ("J-Q1", "mm-owned-prereg-lazy-mm")
