"""REGISTER_MEMORY and UNREGISTER_MEMORY.

REGISTER is several steps: it charges, pins, and only then looks whether another region is in its way. So a
REGISTER that comes to nothing can make another one meet the limit; in the kernel too, since v5.1.
"""

from __future__ import annotations

import struct
from errno import EBUSY, EFAULT, EINVAL, ENOENT, ENOMEM, EPERM

from actors.linear.model.values import Mm, Operation, Region, State, Steps
from actors.linear.model.windows import Done, WindowCalls

MOST_ADDRESSES_A_PIN = (16 << 20) // 8


class PreregCalls(WindowCalls):
    """The part of the model that is registrations."""

    def range_of(self, data: bytes | None) -> tuple[int, int, int]:
        """The argument of REGISTER and UNREGISTER: 0 or a negative errno, address, size."""
        if data is None or len(data) < 24:
            return -EFAULT, 0, 0
        argsz, flags, vaddr, size = struct.unpack_from("<IIQQ", data)
        return (-EINVAL if argsz < 24 or flags else 0), vaddr, size

    def register(self, state: State, op: Operation, container: int, data: bytes | None) -> Done:
        """REGISTER_MEMORY: share the region with this range, or make one."""
        ret, vaddr, size = self.range_of(data)
        page = (1 << self.rules.page_shift) - 1
        if not ret and (vaddr & page or size & page or vaddr + size >= 1 << 64):
            ret = -EINVAL
        if ret:
            return state, ret, data
        driver = self.driver_of(state, container)
        assert driver.mm is not None
        key = vaddr >> self.rules.page_shift, size >> self.rules.page_shift
        if key in driver.listed:
            return state, -EBUSY, data
        if any(region.key == key for region in state.mms[driver.mm].regions):
            return self.share(state, container, key), ("registered", 0), data
        pages = key[1]
        if self.rules.overlap_first and self.overlaps(state, driver.mm, key):
            return state, -EINVAL, data
        if self.too_much(state, op.process, driver.mm, pages):
            return state, -ENOMEM, data
        if not 0 < pages * 8 < self.rules.memory_bytes:
            return state, -ENOMEM, data
        return self.charged(state, driver.mm, pages), ("pin", vaddr, size), data

    def share(self, state: State, container: int, key: tuple[int, int]) -> State:
        """The state with a region on the list of a container."""
        driver = self.driver_of(state, container)
        if self.rules.mm_registers and driver.mm is not None:
            return self.with_lost(state, driver.mm, key)
        return state.with_driver(container, listed=driver.listed | {key})

    def registered(
        self, state: State, op: Operation, files: tuple[int, ...], container: int, pages: int
    ) -> Steps:
        """REGISTER_MEMORY has listed the region: now the container is enabled, and nothing is owed."""
        if state.driver(container) is None:
            return []
        enabled = state.with_driver(container, enabled=True)
        return self.give_back(enabled, op, files, container, pages, 0)

    def overlaps(self, state: State, mm: int, key: tuple[int, int]) -> bool:
        """Whether a range of pages has some in common with a region."""
        first, pages = key
        return any(r.first < first + pages and first < r.first + r.pages for r in state.mms[mm].regions)

    def pin(
        self, state: State, op: Operation, files: tuple[int, ...], container: int, vaddr: int, size: int
    ) -> Steps:
        """REGISTER_MEMORY has charged: now the pages are pinned, if all of them are there."""
        driver = state.driver(container)
        if driver is None or driver.mm is None:
            return []
        first, pages = vaddr >> self.rules.page_shift, size >> self.rules.page_shift
        space = state.mms[driver.mm]
        there = self.usable(space, first, pages, write=True)
        if there < pages:
            short = there % MOST_ADDRESSES_A_PIN if self.rules.short_pin_positive else 0
            return self.give_back(state, op, files, container, pages, short or -EFAULT)
        region = self.region_of(space, vaddr, size)
        if self.alone or self.rules.overlap_first:
            return self.publish(state, op, files, container, region)
        return [(state, ("publish", files, container, region))]

    def publish(
        self, state: State, op: Operation, files: tuple[int, ...], container: int, region: Region
    ) -> Steps:
        """REGISTER_MEMORY has pinned: the region is there from now on, unless another one is in its way."""
        driver = state.driver(container)
        if driver is None or driver.mm is None:
            return []
        regions = state.mms[driver.mm].regions
        same = any(other.key == region.key for other in regions)
        if not same and self.overlaps(state, driver.mm, region.key):
            return self.give_back(state, op, files, container, region.pages, -EINVAL)
        if not same:
            state = state.with_mm(driver.mm, regions=tuple(sorted((*regions, region))))
        return [(self.share(state, container, region.key), ("registered", files, container, region.pages))]

    def region_of(self, space: Mm, vaddr: int, size: int) -> Region:
        """The region of a range that is there as a whole."""
        first, pages = vaddr >> self.rules.page_shift, size >> self.rules.page_shift
        backing = min(vma.shift for vma in self.inside(space, first, first + pages))
        aligned = ((vaddr | size) & -(vaddr | size)).bit_length() - 1
        limit = 63 if self.rules.region_without_shift else min(aligned, backing)
        return Region(first, pages, limit, backing)

    def unregister(self, state: State, op: Operation, container: int, data: bytes | None) -> Done:
        """UNREGISTER_MEMORY: what this container registered as exactly this range."""
        driver = self.driver_of(state, container)
        if driver.mm is None:
            return state, -EPERM, data
        ret, vaddr, size = self.range_of(data)
        page = (1 << self.rules.page_shift) - 1
        if ret or vaddr & page or size & page:
            return state, ret or -EINVAL, data
        key = vaddr >> self.rules.page_shift, size >> self.rules.page_shift
        region = next((r for r in state.mms[driver.mm].regions if r.key == key), None)
        if region is None or (key not in driver.listed and not self.rules.mm_registers):
            return state, -ENOENT, data
        last = self.registrations(state, driver.mm, region) == 1
        if last and self.mapped(state, driver.mm, region):
            if not self.rules.unregister_leaks:
                return state, -EBUSY, data
            state = self.with_lost(state, driver.mm, key)
        if self.rules.mm_registers:
            state = self.with_lost(state, driver.mm, key, -1)
        before = self.locked(state, driver.mm)
        state = self.reap(state.with_driver(container, listed=driver.listed - {key}), driver.mm)
        pages = before - self.locked(state, driver.mm)
        return self.charged(state, driver.mm, pages), ("give_back", pages, 0), data
