"""Many rows in turn: each gets its share of the time, and what some do not use is shared out once more.

A row that is covered or broken early so leaves its time to those that are not. Telling of a failure
(shortening it, looking for its cause) is no search and costs the other rows nothing. The time decides how
many orders of a row are run, never which.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import monotonic
from typing import NamedTuple

from actors.cli.exits import Told
from actors.cli.fleet import told
from actors.cli.units import Search, Unit
from actors.explore import Report

SHORTEST = 0.05
"""Seconds that a row gets at least when it is its turn."""


class Running(NamedTuple):
    """A row that is not finished.

    Attributes:
        orders: orders run so far.
    """

    orders: int


Said = Report | Told | Running


def run_shelf(units: Sequence[tuple[int, Unit]], seconds: float | None) -> Iterator[tuple[int, Said]]:
    """Search numbered rows; what each has come to, now and then, and in the end.

    Args:
        units: the rows.
        seconds: time for all of them; None for as long as it takes.
    """
    shelf = Shelf(dict(units))
    try:
        yield from shelf.run(seconds)
    except KeyboardInterrupt:
        yield from shelf.rest()
        raise
    yield from shelf.rest()


class Shelf:
    """Rows that are being searched.

    Attributes:
        units: those that have not begun, by number.
        begun: those that have, and are not finished.
        end: the moment at which the search is over; None without a limit.
    """

    def __init__(self, units: dict[int, Unit]) -> None:
        self.units = units
        self.begun: dict[int, Search] = {}
        self.end: float | None = None

    def run(self, seconds: float | None) -> Iterator[tuple[int, Said]]:
        """Give every row its share, and again what is left, until nothing is left to find or to give."""
        self.end = None if seconds is None else monotonic() + seconds
        while self.units or self.begun:
            turns = [*self.begun, *self.units]
            for turn, index in enumerate(turns):
                left = None if self.end is None else self.end - monotonic()
                if left is not None and left <= 0 and index in self.begun:
                    return
                share = None if left is None else max(left / (len(turns) - turn), SHORTEST)
                yield index, self.one(index, share)

    def one(self, index: int, seconds: float | None) -> Said:
        """Give one row a slice; an error ends the row."""
        try:
            if index not in self.begun:
                self.begun[index] = Search(self.units.pop(index))
            search = self.begun[index]
            if search.go_on(seconds):
                return Running(search.orders)
            report = self.report(search)
        except Exception as error:
            self.begun.pop(index, None)
            return told(error)
        del self.begun[index]
        return report

    def report(self, search: Search) -> Report:
        """What a finished row has come to; the search ends later by the time that this takes."""
        start = monotonic()
        report = search.report()
        if self.end is not None:
            self.end += monotonic() - start
        return report

    def rest(self) -> Iterator[tuple[int, Said]]:
        """What the rows that are not finished have come to."""
        for index, search in sorted(self.begun.items()):
            if search.orders:
                try:
                    yield index, search.report()
                except Exception as error:
                    yield index, told(error)


__all__ = ["Running", "Said", "run_shelf"]
