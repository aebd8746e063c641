"""Windows: what their tables cost, and which entries point where, as runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from actors.linear.model.values import Rules, Run, Table

ENTRY_SHIFT = 3
LARGEST_LEVEL_SHIFT = 24
MOST_LEVELS = 5
WORD, REGISTER = 1 << 32, 1 << 64
WINDOW_STARTS = (0, 1 << 59)
"""Where each window begins on the bus."""


def power(count: int) -> int:
    """``1 << count`` in a register of 64 bits; of the count the processor sees seven."""
    return 1 << count % 128 if count % 128 < 64 else 0


def shifts(rules: Rules, shift: int, size: int, levels: int) -> tuple[int, int]:
    """Log2, in 32 bits, of the bytes of all entries, and of one level.

    The entries are shared out evenly; a level has a kernel page at least. A window smaller than one of its
    pages has a negative number of bits for its entries, which comes out as a huge one.
    """
    entries_shift = (size.bit_length() - 1 - shift) % WORD
    share = (entries_shift + levels - 1) % WORD // levels
    return (entries_shift + ENTRY_SHIFT) % WORD, max((share + ENTRY_SHIFT) % WORD, rules.page_shift)


def charge(rules: Rules, shift: int, size: int, levels: int) -> int:
    """Bytes that a window is charged; 0 when there can be none."""
    if not 1 <= levels <= MOST_LEVELS or not size or size & (size - 1):
        return 0
    if rules.window_within_ram and size > rules.memory_bytes:
        return 0
    table_shift, level_shift = shifts(rules, shift, size, levels)
    level = power(level_shift)
    if not level:
        return 0
    total, below = 0, max(4096, power(table_shift))
    for _ in range(levels):
        whole = -(-below // level)
        total += whole * level
        below = below // level * 8 % REGISTER
        below = -(-below // level) * level % REGISTER if rules.small_levels_free else max(below, level)
    return (total if rules.view_charged_apart else 2 * total) % REGISTER


def make(rules: Rules, window: int, shift: int, size: int, levels: int) -> Table | int:
    """A new table, or the errno for one that cannot be made."""
    table_shift, level = shifts(rules, shift, size, levels)
    if (level - ENTRY_SHIFT) * levels + shift >= rules.table_bits:
        return -22
    if level > LARGEST_LEVEL_SHIFT:
        return -12
    # Simplified: what was charged is given back. Where small levels are free, the kernel gives back more.
    pages = charge(rules, shift, size, levels) >> rules.page_shift
    entries = power(max(table_shift, rules.page_shift)) >> ENTRY_SHIFT
    return Table(shift, WINDOW_STARTS[window] >> shift, entries, pages)


def view_pages(rules: Rules, table: Table) -> int:
    """Kernel pages of a userspace view that is charged apart."""
    return -(-8 * table.size >> rules.page_shift)


# -- entries --------------------------------------------------------------------------------------


def parts(runs: Iterable[Run], first: int, last: int, shift: int) -> Iterator[Run]:
    """What of the runs lies in the entries ``first .. last - 1``."""
    for run in runs:
        low, high = max(run.first, first), min(run.first + run.length, last)
        if low < high:
            yield Run(low, high - low, run.ua + (low - run.first << shift), run.perm)


def clear(table: Table, first: int, count: int) -> Table:
    """Empty entries."""
    before = parts(table.runs, 0, first, table.shift)
    after = parts(table.runs, first + count, 1 << 64, table.shift)
    return table._replace(runs=(*before, *after))


def write(table: Table, run: Run) -> Table:
    """Make entries point where a run says; neighbours that go on in the same way become one run."""
    runs: list[Run] = []
    for each in sorted((*clear(table, run.first, run.length).runs, run)):
        last = runs[-1] if runs else None
        if last is not None and goes_on(last, each, table.shift):
            runs[-1] = last._replace(length=last.length + each.length)
        else:
            runs.append(each)
    return table._replace(runs=tuple(runs))


def goes_on(run: Run, other: Run, shift: int) -> bool:
    """Whether ``other`` continues ``run``."""
    adjacent = run.first + run.length == other.first
    return adjacent and run.ua + (run.length << shift) == other.ua and run.perm == other.perm


def next_present(table: Table, first: int, last: int) -> int | None:
    """The first entry in ``first .. last - 1`` that is not empty."""
    return next((run.first for run in parts(table.runs, first, last, table.shift)), None)


def points_into(table: Table, start: int, end: int) -> bool:
    """Whether an entry points to the user addresses ``start .. end - 1``."""
    return any(run.ua < end and start < run.ua + (run.length << table.shift) for run in table.runs)


def reach(table: Table) -> tuple[tuple[int, int, int], ...]:
    """What a device can access through a window: runs of (bus address, bytes, permission).

    WRITE implies READ, as in the hardware.
    """
    found: list[tuple[int, int, int]] = []
    for run in table.runs:
        perm = 3 if run.perm & 2 else run.perm
        start, size = run.first + table.offset << table.shift, run.length << table.shift
        if found and found[-1][0] + found[-1][1] == start and found[-1][2] == perm:
            found[-1] = (found[-1][0], found[-1][1] + size, perm)
        else:
            found.append((start, size, perm))
    return tuple(found)
