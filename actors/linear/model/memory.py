"""Address spaces: what is mapped, what is charged, and the system calls on them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from errno import EEXIST, EFAULT, EINVAL, ENOMEM, EPERM

from actors.linear.model import tables
from actors.linear.model.values import (
    Answer,
    Mm,
    Operation,
    Process,
    Region,
    Rules,
    State,
    Steps,
    Unmodelled,
    Vma,
)

USER_TOP = 1 << 52

DONTNEED, DONTFORK, DOFORK = 4, 10, 11
ADVICE = frozenset((0, 1, 2, 3, 4, *range(8, 26)))
"""The kinds of advice that madvise knows."""
MODELLED = ADVICE - {8, 9, 14, 18, 20, 21, 22, 23, 24, 25}
"""Those that every mapping of ordinary pages takes, and that change nothing but what is inherited."""


class MemoryCalls(ABC):
    """The part of the model that is about memory.

    Attributes:
        rules: the machine, and in what its kernel differs.
        alone: nothing runs beside a call, so it may be done in fewer steps.
        counts: somebody may notice that regions are counted down after their entries are emptied.
        maps: where MAPs may write: bus address and the end, in bytes.
    """

    rules: Rules
    alone: bool
    counts: bool
    maps: tuple[tuple[int, int], ...]

    # -- charges -------------------------------------------------------------------------------

    def locked(self, state: State, mm: int) -> int:
        """Kernel pages that an address space is charged (VmLck): all that there is, added up."""
        space = state.mms[mm]
        pages = space.lost + sum(vma.last - vma.first for vma in space.vmas if vma.locked)
        pages += sum(region.pages for region in space.regions)
        for container in state.containers.values():
            driver = container.driver
            if driver is not None and driver.mm == mm:
                pages += sum(table.charge + table.view for table in driver.tables if table is not None)
                if driver.enabled and not driver.v2:
                    pages += self.rules.dma32_bytes >> self.rules.page_shift
        return pages

    def too_much(self, state: State, process: str, mm: int, pages: int) -> bool:
        """Whether so many more pages would exceed the caller's limit; none never do."""
        return bool(pages) and self.above_limit(state, process, mm, pages)

    def above_limit(self, state: State, process: str, mm: int, pages: int) -> bool:
        """Whether what is charged and so many pages more are above the caller's limit."""
        caller = state.processes[process]
        if caller.capable or caller.memlock is None:
            return False
        return self.locked(state, mm) + pages > caller.memlock >> self.rules.page_shift

    def charged(self, state: State, mm: int, pages: int) -> State:
        """The state with pages charged for nothing that is there, or given back when negative."""
        return state.with_mm(mm, lost=state.mms[mm].lost + pages)

    # -- regions -------------------------------------------------------------------------------

    def mapped(self, state: State, mm: int, region: Region) -> bool:
        """Whether a TCE of any v2 container of this address space points into a region, or just did."""
        if region.key in state.mms[mm].counted:
            return True
        shift = self.rules.page_shift
        start, end = region.first << shift, region.first + region.pages << shift
        return any(
            tables.points_into(table, start, end)
            for container in state.containers.values()
            if container.driver is not None and container.driver.v2 and container.driver.mm == mm
            for table in container.driver.tables
            if table is not None and table.runs
        )

    def registrations(self, state: State, mm: int, region: Region) -> int:
        """How many registrations a region has, those included that nobody can take back."""
        return region.lost + sum(
            region.key in container.driver.listed
            for container in state.containers.values()
            if container.driver is not None and container.driver.mm == mm
        )

    def with_lost(self, state: State, mm: int, key: tuple[int, int], more: int = 1) -> State:
        """The state with one registration of a region more that no container has."""
        regions = state.mms[mm].regions
        changed = tuple(r._replace(lost=r.lost + more) if r.key == key else r for r in regions)
        return state.with_mm(mm, regions=changed)

    def reap(self, state: State, mm: int | None) -> State:
        """Forget regions that nobody registers and no TCE points into."""
        if mm is None:
            return state
        regions = state.mms[mm].regions
        kept = tuple(
            region
            for region in regions
            if self.registrations(state, mm, region) or self.mapped(state, mm, region)
        )
        return state if len(kept) == len(regions) else state.with_mm(mm, regions=kept)

    def region_at(self, state: State, mm: int, ua: int, size: int) -> Region | None:
        """The region that contains a range of bytes."""
        shift = self.rules.page_shift
        for region in state.mms[mm].regions:
            if region.first << shift <= ua and ua + size <= region.first + region.pages << shift:
                return region
        return None

    # -- mappings ------------------------------------------------------------------------------

    def inside(self, space: Mm, first: int, last: int) -> Iterator[Vma]:
        """The parts of mappings in a range of pages."""
        for vma in space.vmas:
            if vma.first < last and first < vma.last:
                yield vma._replace(first=max(first, vma.first), last=min(last, vma.last))

    def usable(self, space: Mm, first: int, count: int, write: bool) -> int:
        """How many pages from ``first`` on can be accessed, up to the first that cannot."""
        at = first
        for vma in self.inside(space, first, first + count):
            if vma.first > at or not (vma.writable if write else vma.readable):
                break
            at = vma.last
        return at - first

    def until_hole(self, space: Mm, first: int, last: int) -> int:
        """The first page of a range that is not mapped, or its end."""
        for vma in self.inside(space, first, last):
            if vma.first > first:
                break
            first = vma.last
        return first

    def cuts(self, space: Mm, *edges: int) -> bool:
        """Whether one of these pages begins inside a huge page."""
        return any(
            vma.first < edge < vma.last and edge % (1 << vma.shift - self.rules.page_shift)
            for edge in edges
            for vma in space.vmas
        )

    def without(self, space: Mm, first: int, last: int) -> list[Vma]:
        """The mappings without those in a range of pages."""
        return [*self.inside(space, 0, first), *self.inside(space, last, 1 << 64)]

    def pages(self, addr: int, size: int) -> tuple[int, int]:
        """First page of a range of bytes, and the page behind it."""
        shift = self.rules.page_shift
        return addr >> shift, -(-(addr + size) >> shift)

    def replaced(self, state: State, mm: int, vmas: list[Vma]) -> State:
        """The state with other mappings; neighbours that are alike become one."""
        merged: list[Vma] = []
        for vma in sorted(vmas):
            if merged and merged[-1].last == vma.first and merged[-1][2:] == vma[2:]:
                merged[-1] = merged[-1]._replace(last=vma.last)
            else:
                merged.append(vma)
        return state.with_mm(mm, vmas=tuple(merged))

    # -- system calls --------------------------------------------------------------------------

    @abstractmethod
    def ended(self, state: State, op: Operation, answer: Answer) -> Steps:
        """A call has done its work."""

    def sys_mmap(
        self, state: State, op: Operation, process: Process,
        addr: int, size: int, readable: bool, writable: bool, shift: int, replace: bool,
    ) -> Steps:  # fmt: skip
        """Map memory at a fixed address."""
        space, backing = state.mms[process.mm], 1 << max(shift, self.rules.page_shift)
        if size <= 0 or addr % backing or addr < 0:
            return [(state, Answer(-EINVAL))]
        size = -(-size // backing) * backing
        if addr + size > USER_TOP:
            return [(state, Answer(-ENOMEM))]
        first, last = self.pages(addr, size)
        if not replace and any(self.inside(space, first, last)):
            return [(state, Answer(-EEXIST))]
        if self.cuts(space, first, last):
            return [(state, Answer(-EINVAL))]
        if shift > self.rules.page_shift:
            self.need_huge_pages(state, shift, size)
        vma = Vma(first, last, readable, writable, max(shift, self.rules.page_shift), False)
        return [(self.replaced(state, process.mm, [*self.without(space, first, last), vma]), Answer(0))]

    def need_huge_pages(self, state: State, shift: int, size: int) -> None:
        """Make sure that there are huge pages enough, whoever uses them.

        Raises:
            Unmodelled: there may be too few.
        """
        pages = self.rules.page_shift
        used = sum(
            vma.last - vma.first << pages
            for space in state.mms.values()
            for vma in space.vmas
            if vma.shift == shift
        )
        used += sum(
            region.pages << pages
            for space in state.mms.values()
            for region in space.regions
            if region.backing == shift
        )
        if used + size > self.rules.huge_pages.get(shift, 0) << shift:
            raise Unmodelled("a pool of huge pages that may run out")

    def enough_for_copies(self, state: State, mm: int) -> None:
        """Make sure that a forked child may have its own copies of all huge pages.

        Raises:
            Unmodelled: there may be too few.
        """
        for shift in {vma.shift for vma in state.mms[mm].vmas} - {self.rules.page_shift}:
            own = sum(vma.last - vma.first for vma in state.mms[mm].vmas if vma.shift == shift)
            self.need_huge_pages(state, shift, own << self.rules.page_shift)

    def sys_munmap(self, state: State, op: Operation, process: Process, addr: int, size: int) -> Steps:
        """munmap; registered memory stays registered."""
        if size <= 0 or addr % (1 << self.rules.page_shift) or addr + size > USER_TOP:
            return [(state, Answer(-EINVAL))]
        space, (first, last) = state.mms[process.mm], self.pages(addr, size)
        if self.cuts(space, first, last):
            return [(state, Answer(-EINVAL))]
        return [(self.replaced(state, process.mm, self.without(space, first, last)), Answer(0))]

    def sys_mprotect(
        self, state: State, op: Operation, process: Process,
        addr: int, size: int, readable: bool, writable: bool,
    ) -> Steps:  # fmt: skip
        """mprotect, up to the first hole."""
        if addr % (1 << self.rules.page_shift):
            return [(state, Answer(-EINVAL))]
        space, (first, last) = state.mms[process.mm], self.pages(addr, size)
        end = self.until_hole(space, first, last)
        if self.cuts(space, first, end):
            return [(state, Answer(-EINVAL))]
        changed = [v._replace(readable=readable, writable=writable) for v in self.inside(space, first, end)]
        after = self.replaced(state, process.mm, [*self.without(space, first, end), *changed])
        return [(after, Answer(0 if end == last else -ENOMEM))]

    def sys_mlock(self, state: State, op: Operation, process: Process, addr: int, size: int) -> Steps:
        """mlock: first whether anything may be locked at all; the limits may change before they count."""
        if process.memlock == 0 and not process.capable:
            return [(state, Answer(-EPERM))]
        return [(state, ("locking", process.mm, addr, size))]

    def locking(self, state: State, op: Operation, mm: int, addr: int, size: int) -> Steps:
        """mlock, up to the first hole; huge pages are not charged.

        The limit counts even when nothing new would be locked: it may have been lowered since.
        """
        space, (first, last) = state.mms[mm], self.pages(addr, size)
        already = sum(vma.last - vma.first for vma in self.inside(space, first, last) if vma.locked)
        if self.above_limit(state, op.process, mm, last - first - already):
            return self.ended(state, op, Answer(-ENOMEM))
        end = self.until_hole(space, first, last)
        after = self.with_locks(state, mm, first, end, True)
        readable = self.usable(space, first, last - first, write=False) == last - first
        return self.ended(after, op, Answer(0 if end == last and readable else -ENOMEM))

    def sys_munlock(self, state: State, op: Operation, process: Process, addr: int, size: int) -> Steps:
        """munlock, up to the first hole."""
        space, (first, last) = state.mms[process.mm], self.pages(addr, size)
        end = self.until_hole(space, first, last)
        after = self.with_locks(state, process.mm, first, end, False)
        return [(after, Answer(0 if end == last else -ENOMEM))]

    def with_locks(self, state: State, mm: int, first: int, last: int, locked: bool) -> State:
        """The state with a range locked or not."""
        space, small = state.mms[mm], self.rules.page_shift
        changed = [v._replace(locked=locked and v.shift == small) for v in self.inside(space, first, last)]
        return self.replaced(state, mm, [*self.without(space, first, last), *changed])

    def sys_madvise(
        self, state: State, op: Operation, process: Process, addr: int, size: int, advice: int
    ) -> Steps:
        """madvise, as far as it is mapped: what is inherited by fork, and advice that nothing here can tell.

        Raises:
            Unmodelled: advice on huge pages, or such as not all mappings take.
        """
        page = 1 << self.rules.page_shift
        length = -(-size // page) * page
        if advice not in ADVICE or addr % page or (length and addr + length >= 1 << 64):
            return [(state, Answer(-EINVAL))]
        space, (first, last) = state.mms[process.mm], self.pages(addr, length)
        found = list(self.inside(space, first, last))
        if advice not in MODELLED or any(vma.shift > self.rules.page_shift for vma in found):
            raise Unmodelled(f"madvise {advice}, or madvise of huge pages")
        if advice == DONTNEED and any(vma.locked for vma in found):
            return [(state, Answer(-EINVAL))]
        whole = sum(vma.last - vma.first for vma in found) == last - first
        if advice in (DONTFORK, DOFORK):
            changed = [vma._replace(inherited=advice == DOFORK) for vma in found]
            state = self.replaced(state, process.mm, [*self.without(space, first, last), *changed])
        return [(state, Answer(0 if whole else -ENOMEM))]

    def sys_touch(self, state: State, op: Operation, process: Process, addr: int, size: int) -> Steps:
        """Write to every page of a range."""
        first, last = self.pages(addr, size)
        whole = self.usable(state.mms[process.mm], first, last - first, write=True) == last - first
        return [(state, Answer(0 if whole else -EFAULT))]

    def sys_rlimit(self, state: State, op: Operation, process: Process, limit: int | None) -> Steps:
        """setrlimit(RLIMIT_MEMLOCK)."""
        return [(state.with_process(op.process, memlock=limit), Answer(0))]

    def sys_dropcap(self, state: State, op: Operation, process: Process) -> Steps:
        """Give CAP_IPC_LOCK up."""
        return [(state.with_process(op.process, capable=False), Answer(0))]
