"""MAP_DMA and UNMAP_DMA: entry by entry, since that is all that the kernel promises.

Neither takes a lock that keeps the other away: two of them may alternate entry by entry, and a device sees
each entry change by itself. So each is a sequence of steps here too, when anything runs beside it.
"""

from __future__ import annotations

import struct
from errno import EFAULT, EINVAL, ENOMEM, ENXIO, EPERM
from typing import Any

from actors.linear.model import tables
from actors.linear.model.driver import MAP, DriverCalls
from actors.linear.model.values import (
    Answer,
    Driver,
    Local,
    Operation,
    Run,
    State,
    Steps,
    Table,
    Unmodelled,
)
from actors.linear.model.windows import window_at, with_table

PAST_THE_END = "a range that leaves its window, which this kernel does not check"


class MappingCalls(DriverCalls):
    """The part of the model that is MAP and UNMAP."""

    def map_or_unmap(self, state: State, op: Operation, files: tuple[int, ...], container: int) -> Steps:
        """What MAP and UNMAP check first; then the default window is made, if it is owed."""
        nr, data, driver = op.args[1], op.args[3], self.driver_of(state, container)
        error = self.argument_error(driver, nr == MAP, data)
        if not error and driver.pending:
            if driver.locked:
                return []
            state, error = self.make_default_window(state, op, container)
            if not error:
                return [(state, ("in_window", files, container))]
        if error:
            return self.answered(state, files, Answer(error, data))
        return self.in_window(state, op, files, container)

    def argument_error(self, driver: Driver, mapping: bool, data: bytes | None) -> int:
        """What is wrong before any window is looked at."""
        if not driver.enabled:
            return -EPERM
        if data is None or len(data) < (32 if mapping else 24):
            return -EFAULT
        argsz, flags = struct.unpack_from("<II", data)
        if argsz < (32 if mapping else 24) or flags & ~(3 if mapping else 0):
            return -EINVAL
        return 0

    def in_window(self, state: State, op: Operation, files: tuple[int, ...], container: int) -> Steps:
        """Find the window, check the range, and begin.

        What was checked before is checked again, so that it holds in one moment with the first entry.
        """
        nr, data, driver = op.args[1], op.args[3], state.driver(container)
        if driver is None or data is None:
            return []
        if not driver.enabled:
            return self.answered(state, files, Answer(-EPERM, data))
        _, flags, vaddr, iova, size = (
            struct.unpack_from("<IIQQQ", data)
            if nr == MAP
            else (*struct.unpack_from("<II", data), 0, *struct.unpack_from("<QQ", data, 8))
        )
        window = window_at(driver, iova)
        table = None if window is None else driver.tables[window]
        if window is None or table is None:
            return self.answered(state, files, Answer(-ENXIO, data))
        error = self.range_error(table, iova, size, vaddr, nr == MAP, flags)
        if error:
            return self.answered(state, files, Answer(error, data))
        first, count = (iova >> table.shift) - table.offset, size >> table.shift
        if nr != MAP:
            return self.clear(state, op, files, container, window, first, first + count, Answer(0, data))
        state, error = self.with_view(state, op, container, window, table)
        if error:
            return self.answered(state, files, Answer(error, data))
        return self.entries(state, op, files, container, window, Run(first, count, vaddr, flags), 0)

    def range_error(self, table: Table, iova: int, size: int, vaddr: int, mapping: bool, flags: int) -> int:
        """What is wrong with a range: the answer, or 0.

        Raises:
            Unmodelled: the kernel would go on behind the end of the table.
        """
        mask = (1 << table.shift) - 1
        if (size | vaddr) & mask or (mapping and not flags):
            return -EINVAL
        first, count = (iova >> table.shift) - table.offset, size >> table.shift
        past = first + count > table.size
        ignored = self.rules.map_ignores_count if mapping else self.rules.unmap_ignores_count
        if iova & mask or (past and not ignored):
            return self.rules.param_error
        if past and not mapping:
            raise Unmodelled(PAST_THE_END)
        return 0

    def with_view(
        self, state: State, op: Operation, container: int, window: int, table: Table
    ) -> tuple[State, int]:
        """Charge the userspace view, where it comes apart from its table."""
        driver = self.driver_of(state, container)
        if not self.rules.view_charged_apart or table.view or not driver.v2 or driver.mm is None:
            return state, 0
        pages = tables.view_pages(self.rules, table)
        if self.too_much(state, op.process, driver.mm, pages):
            return state, -ENOMEM
        changed = with_table(driver, window, table._replace(view=pages))
        return state.with_driver(container, tables=changed), 0

    # -- MAP -----------------------------------------------------------------------------------

    def entries(
        self, state: State, op: Operation, files: tuple[int, ...], container: int, window: int,
        run: Run, done: int,
    ) -> Steps:  # fmt: skip
        """Write entries from the ``done``-th on: one, or all when nothing runs beside.

        What fails empties the entries that were written; what they had replaced is gone.

        Raises:
            Unmodelled: the kernel goes on behind the end of the table.
        """
        table = table_of(state, container, window)
        if table is None:
            return []
        data = op.args[3]
        while done < run.length:
            at = Run(run.first + done, 1, run.ua + (done << table.shift), run.perm)
            inside = table.size - at.first
            if not inside:
                raise Unmodelled(PAST_THE_END)
            good, error = self.may_point(state, container, table, at, min(inside, run.length - done))
            if error:
                answer = Answer(error, data)
                return self.clear(state, op, files, container, window, run.first, run.first + done, answer)
            if not self.alone:
                then = ("entries", files, container, window, run, done + 1)
                state, pointed = self.still_counted(state, container, window, at.first)
                return [(self.written(state, container, window, at), (*pointed, *then))]
            state = self.written(state, container, window, at._replace(length=good))
            done += good
            table = table_of(state, container, window)
            assert table is not None
        return self.answered(state, files, Answer(0, data))

    def written(self, state: State, container: int, window: int, run: Run) -> State:
        """Write entries; a region that nothing points into any more may go."""
        driver = self.driver_of(state, container)
        table = driver.tables[window]
        assert table is not None
        changed = with_table(driver, window, tables.write(table, run))
        return self.reap(state.with_driver(container, tables=changed), driver.mm)

    def may_point(self, state: State, container: int, table: Table, run: Run, wanted: int) -> tuple[int, int]:
        """How many entries from one on may point to user memory, and the error if not even that one."""
        driver = self.driver_of(state, container)
        assert driver.mm is not None
        size = 1 << table.shift
        if not driver.v2:
            return self.may_pin(state, driver.mm, table, run)
        region = self.region_at(state, driver.mm, run.ua, size)
        if region is None or table.shift > region.limit:
            return 0, -EINVAL
        if table.shift > region.backing:
            return 0, -EPERM
        end = region.first + region.pages << self.rules.page_shift
        return (min(wanted, end - run.ua >> table.shift) if self.alone else 1), 0

    def may_pin(self, state: State, mm: int, table: Table, run: Run) -> tuple[int, int]:
        """Whether the page behind one entry of a v1 container can be pinned, and is large enough."""
        page = run.ua >> self.rules.page_shift
        if not self.usable(state.mms[mm], page, 1, write=True):
            return 0, -EFAULT
        vma = next(self.inside(state.mms[mm], page, page + 1))
        return (0, -EPERM) if vma.shift < table.shift else (1, 0)

    # -- clearing ------------------------------------------------------------------------------

    def clear(
        self, state: State, op: Operation, files: tuple[int, ...], container: int, window: int,
        first: int, last: int, answer: Answer,
    ) -> Steps:  # fmt: skip
        """Look for the next entry that is not empty; when nothing runs beside, empty all at once.

        Entries are looked at one after the other: one that is empty now may have been passed when a MAP that
        runs beside writes the next.
        """
        table = table_of(state, container, window)
        if table is None:
            return []
        if self.alone:
            return self.answered(self.empty(state, container, window, first, last - first), files, answer)
        found = tables.next_present(table, first, last)
        passed = self.next_written(table, first, last if found is None else found)
        steps: Steps = []
        if passed is not None:
            steps.append((state, ("clear", files, container, window, passed + 1, last, answer)))
        if found is None:
            return [*steps, *self.answered(state, files, answer)]
        return [*steps, (state, ("clear_one", files, container, window, found, last, answer))]

    def next_written(self, table: Table, first: int, last: int) -> int | None:
        """The first entry of a range that a MAP of the history may write."""
        starts = [max(first, (low >> table.shift) - table.offset) for low, _ in self.maps]
        ends = [min(last, (high - 1 >> table.shift) - table.offset + 1) for _, high in self.maps]
        return min((start for start, end in zip(starts, ends, strict=True) if start < end), default=None)

    def clear_one(
        self, state: State, op: Operation, files: tuple[int, ...], container: int, window: int,
        first: int, last: int, answer: Answer,
    ) -> Steps:  # fmt: skip
        """Empty the entry that was found, whatever it holds by now, and look on."""
        if table_of(state, container, window) is None:
            return []
        then = files, container, window, first + 1, last, answer
        state, pointed = self.still_counted(state, container, window, first)
        state = self.empty(state, container, window, first, 1)
        table = table_of(state, container, window)
        if pointed or (table is not None and self.next_written(table, first + 1, last) is not None):
            return [(state, (*pointed, "clear", *then))]
        return self.clear(state, op, *then)

    # -- what an entry pointed to --------------------------------------------------------------

    def still_counted(self, state: State, container: int, window: int, entry: int) -> tuple[State, Local]:
        """Let the region that an entry points into count as mapped until whoever changes the entry says more.

        The kernel exchanges an entry first and counts its region down afterwards; in between an UNREGISTER
        finds the region mapped although no entry points into it.

        Returns:
            The state, and what comes before the next step of the call: nothing where no region counts.
        """
        driver = self.driver_of(state, container)
        table = driver.tables[window]
        assert table is not None
        run = next(tables.parts(table.runs, entry, entry + 1, table.shift), None)
        if not self.counts or run is None or driver.mm is None or not driver.v2:
            return state, ()
        region = self.region_at(state, driver.mm, run.ua, 1 << table.shift)
        if region is None:
            return state, ()
        counted = tuple(sorted((*state.mms[driver.mm].counted, region.key)))
        return state.with_mm(driver.mm, counted=counted), ("count_down", driver.mm, region.key)

    def count_down(
        self, state: State, op: Operation, mm: int, key: tuple[int, int], then: str, *how: Any
    ) -> Steps:
        """What an entry pointed into counts no longer; a region that nothing points into any more may go."""
        counted = list(state.mms[mm].counted)
        counted.remove(key)
        state = self.reap(state.with_mm(mm, counted=tuple(counted)), mm)
        steps: Steps = getattr(self, then)(state, op, *how)
        return steps

    def empty(self, state: State, container: int, window: int, first: int, count: int) -> State:
        """Empty entries; a region that nothing points into any more may go."""
        driver = self.driver_of(state, container)
        table = driver.tables[window]
        assert table is not None
        changed = with_table(driver, window, tables.clear(table, first, count))
        return self.reap(state.with_driver(container, tables=changed), driver.mm)


def table_of(state: State, container: int, window: int) -> Table | None:
    """The table of a window, if container, driver and window are there."""
    driver = state.driver(container)
    return None if driver is None else driver.tables[window]
