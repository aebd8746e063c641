"""Rows get their share of the time, and what some do not use goes to the others."""

from __future__ import annotations

from math import ceil
from typing import Any, NamedTuple

import pytest

from actors.cli import shelf
from actors.cli.exits import BadInput, ExitCode, Told
from actors.cli.shelf import Running, run_shelf
from actors.explore import Report


class Clock:
    """A clock that only work moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Row(NamedTuple):
    """What a row needs: seconds until it is covered, and to tell of it; what befalls it."""

    name: str
    needs: float
    problem: type[BaseException] | None = None
    telling: float = 0.0


class Search:
    """A search that takes the time that it is given; an order takes a tenth of a second."""

    clock = Clock()

    def __init__(self, unit: Row) -> None:
        self.unit = unit
        self.spent = 0.0

    def go_on(self, seconds: float | None) -> bool:
        takes = min(self.unit.needs - self.spent, float("inf") if seconds is None else seconds)
        self.spent += takes
        self.clock.now += takes
        if self.unit.problem is not None:
            raise self.unit.problem("mine")
        return self.spent < self.unit.needs

    @property
    def orders(self) -> int:
        return ceil(self.spent * 10)

    def report(self) -> Report:
        self.clock.now += self.unit.telling
        complete = self.spent >= self.unit.needs
        return Report(
            program=self.unit.name, kernel="", strategy="", schedules=self.orders, complete=complete,
            points=0, seconds=self.spent,
        )  # fmt: skip


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The shelf with searches and a clock that take no time."""
    clock = Clock()
    monkeypatch.setattr(Search, "clock", clock)
    monkeypatch.setattr(shelf, "Search", Search)
    monkeypatch.setattr(shelf, "monotonic", clock)
    return clock


def ran(rows: list[Row], seconds: float | None) -> dict[str, Any]:
    """What was last said of each row."""
    said = dict(run_shelf(list(enumerate(rows)), seconds))
    return {rows[index].name: what for index, what in said.items()}


def test_what_early_rows_leave_goes_to_the_others(fake: Clock) -> None:
    said = ran([Row("short", 1), Row("long", 15), Row("endless", 1000), Row("tiny", 0.5)], 40)
    assert [said[name].complete for name in ("short", "long", "endless", "tiny")] == [True, True, False, True]
    assert said["endless"].seconds == pytest.approx(40 - 1 - 15 - 0.5)
    assert fake.now == pytest.approx(40)


def test_telling_of_a_failure_costs_the_other_rows_nothing(fake: Clock) -> None:
    rows = [Row("broken", 1, telling=30), Row("broken too", 1, telling=30), Row("long", 6)]
    said = ran(rows, 12)
    assert all(report.complete for report in said.values())
    assert fake.now == pytest.approx(1 + 30 + 1 + 30 + 6)


def test_every_row_gets_a_turn_even_without_time() -> None:
    said = ran([Row(name, 10) for name in "abc"], 0.01)
    assert all(report.seconds > 0 for report in said.values())


def test_without_a_limit_rows_run_to_their_end() -> None:
    said = ran([Row("a", 3), Row("b", 4)], None)
    assert [report.seconds for report in said.values()] == [3, 4]


def test_an_error_ends_one_row() -> None:
    said = ran([Row("bad", 1, BadInput), Row("wrong", 1, ZeroDivisionError), Row("good", 1)], 10)
    assert isinstance(said["bad"], Told)
    assert said["bad"].code == ExitCode.BAD_INPUT
    assert said["wrong"].code == ExitCode.EMULATOR
    assert said["good"].complete


def test_an_interrupt_keeps_what_there_is() -> None:
    rows = [Row("first", 100), Row("stopped", 1, KeyboardInterrupt), Row("never", 1)]
    said = []
    work = run_shelf(list(enumerate(rows)), 30)
    with pytest.raises(KeyboardInterrupt):
        while True:
            said.append(next(work))
    reports = [(index, what.seconds) for index, what in said if isinstance(what, Report)]
    assert isinstance(said[0][1], Running)
    assert reports == [(0, 10.0), (1, 1.0)]
