"""J-W1 to J-W4 and J-E1: windows, tables and the state of a container."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from actors.check.view import Driver, View
from actors.check.violation import Violation
from actors.kernel.group import Group
from actors.kernel.tce_container import IommuTable

SLOT1_START = 1 << 59


class Windows:
    """The judge of windows and tables.

    Attributes:
        enabled: containers' data of which a REGISTER has succeeded, or that were found enabled at the start.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        self.enabled = {driver.data.name for driver in view.drivers if driver.data.enabled.value}
        self._seen: dict[str, tuple[str, IommuTable]] = {}

    def judge(self) -> Iterator[Violation]:
        """Judge all containers and groups, and the tables that containers no longer have."""
        groups = {group.id: group for group in self.view.groups}
        gone = self._seen
        self._seen = {}
        for driver in self.view.drivers:
            for _, table in driver.tables:
                gone.pop(table.name, None)
                self._seen[table.name] = (driver.actor.id, table)
                yield from references(driver, table, groups)
            yield from programmed(driver, groups)
            yield from slots(driver, groups)
            yield from self._gate(driver)
        for container, table in gone.values():
            yield from left_over(container, table)

    def _gate(self, driver: Driver) -> Iterator[Violation]:
        """J-E1."""
        data = driver.data
        if not data.enabled.value:
            return
        if data.v2 and data.name not in self.enabled:
            yield Violation("J-E1", f"v2 {driver.actor.id} is enabled though no REGISTER of it has succeeded")
        if not data.v2 and not data.locked_pages.value:
            yield Violation("J-E1", f"v1 {driver.actor.id} is enabled though it is charged for 0 pages")


def programmed(driver: Driver, groups: dict[str, Group]) -> Iterator[Violation]:
    """J-W1."""
    for attached in driver.data.group_list.items:
        pe = groups[attached.group].pe
        for num, cell in enumerate(driver.data.tables):
            wanted = None if cell.value is None else cell.value.hw
            if pe.windows[num] is not wanted:
                has = "no table" if pe.windows[num] is None else "another table"
                name = "none" if cell.value is None else cell.value.name
                yield Violation("J-W1", f"window {num} of {attached.group} has {has}, but {driver.actor.id}, "
                                        f"to which it is attached, has {name} there")  # fmt: skip


def slots(driver: Driver, groups: dict[str, Group]) -> Iterator[Violation]:
    """J-W2 and J-W4."""
    first = driver.data.tables[0].value
    if driver.data.def_window_pending.value and first is not None:
        yield Violation(
            "J-W2", f"{driver.actor.id} is owed a default window although slot 0 has {first.name}"
        )
    ends = []
    for num, table in driver.tables:
        start = table.hw.it_offset << table.hw.it_page_shift
        ends.append((start, start + (table.hw.it_size << table.hw.it_page_shift), table.name))
        right = SLOT1_START if num else 0
        if start != right:
            yield Violation(
                "J-W4",
                f"{table.name} in slot {num} of {driver.actor.id} starts at bus {start:#x}, not {right:#x}",
            )
    ends.sort()
    for (_, end, low), (start, _, high) in pairwise(ends):
        if end > start:
            both = f"{low} and {high} of {driver.actor.id} overlap"
            yield Violation("J-W4", f"{both}: one ends at bus {end:#x}, the other starts at {start:#x}")


def references(driver: Driver, table: IommuTable, groups: dict[str, Group]) -> Iterator[Violation]:
    """J-W3, for a table that a container has."""
    holders = table.it_kref.holders
    wanted = {group.id: 1 for group in groups.values() if table.hw in group.pe.windows}
    wanted[driver.actor.id] = 1
    if holders != wanted:
        yield Violation("J-W3", f"{table.name} of {driver.actor.id} is referenced by {told(holders)}, "
                                f"but it is used by {told(wanted)}")  # fmt: skip


def left_over(container: str, table: IommuTable) -> Iterator[Violation]:
    """J-W3 and J-T5, for a table that its container has let go of."""
    if table.it_kref.holders:
        given_up = f"{table.name}, which {container} has given up"
        yield Violation("J-W3", f"{given_up}, is still referenced by {told(table.it_kref.holders)}")
    if table.hw.live_count:
        yield Violation(
            "J-T5", f"{table.name} was freed by {container} with {table.hw.live_count:,} TCEs in it"
        )


def told(holders: dict[str, int]) -> str:
    """Holders for people."""
    return ", ".join(f"{who} ({count})" for who, count in sorted(holders.items())) or "nobody"
